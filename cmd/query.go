/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package main

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/spf13/pflag"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/desired"
	"github.com/edgesync/edgesync/internal/hub"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/query"
)

// queryOptions are the flags of the query API.
type queryOptions struct {
	bind    string
	service string
	address string
}

const queryOff = "0"

func defaultQueryOptions() queryOptions {
	return queryOptions{bind: queryOff, service: "edgesync-query"}
}

func (q *queryOptions) flags(flags *pflag.FlagSet) {
	flags.StringVar(&q.bind, "query-bind-address", q.bind, "address on which the API server and the other replicas ask what nodes hold, such as :10446; 0 turns it off")
	flags.StringVar(&q.service, "query-service", q.service, "name of the Service, in the manager's namespace, by which the API server reaches the query API")
	flags.StringVar(&q.address, "query-address", q.address, "host:port at which the other replicas reach the query API of this one (default: $POD_IP and the port of --query-bind-address)")
}

// enabled: the query API is served.
func (q *queryOptions) enabled() bool { return q.bind != queryOff }

// complete works out what the other replicas are told.
func (q *queryOptions) complete() error {
	if !q.enabled() {
		q.address = ""
		return nil
	}
	if q.service == "" {
		return errors.New("--query-service must not be empty")
	}
	host, port, err := net.SplitHostPort(q.bind)
	if err != nil {
		return fmt.Errorf("--query-bind-address must be host:port or 0: %w", err)
	}
	if q.address == "" {
		q.address = net.JoinHostPort(envOr("POD_IP", host), port)
	}
	if host, _, err := net.SplitHostPort(q.address); err != nil || host == "" {
		q.address = "" // nobody can be told, as outside of a cluster
	}
	return nil
}

// addQuery adds the query API. locate finds the query API of other replicas.
func addQuery(mgr ctrl.Manager, o *options, direct client.Client, id *identity, nodes *hub.Hub, index *desired.Index, locate func(string) (string, bool)) error {
	if !o.query.enabled() {
		return nil
	}
	host := o.query.service + "." + o.namespace + ".svc"
	certificate, err := pki.NewReplicaCertificate(id.authority, o.replica, []string{host}, time.Now)
	if err != nil {
		return fmt.Errorf("the certificate of the query API (see --replica-name and --query-service): %w", err)
	}
	reviews, err := authorizationv1client.NewForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	log := mgr.GetLogger().WithName("query")
	server, err := query.New(query.Options{
		Address: o.query.bind, Replica: o.replica, Certificate: certificate, Host: host, Authority: id.authority,
		Config: direct, Reviews: reviews, Nodes: mgr.GetClient(), Sessions: nodes, Sources: index, Locate: locate, Log: log,
	})
	if err != nil {
		return err
	}
	return errors.Join(mgr.Add(server), mgr.Add(&query.Publisher{Client: direct, Authority: id.authority, Log: log}))
}
