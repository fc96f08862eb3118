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
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/edgesync/edgesync/internal/command"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/replica"
)

// options are the flags of the manager.
type options struct {
	kubeconfig    string
	namespace     string
	replica       string
	leaderElect   bool
	metricsBind   string
	metricsSecure bool
	healthBind    string
	pprofBind     string
	hub           hubOptions
	query         queryOptions
	log           zap.Options
}

type hubOptions struct {
	bind         string
	publicNames  []string
	addresses    []string
	maxNodes     int
	maxPending   int
	heartbeat    time.Duration
	nodeLifetime time.Duration
	renewalGrace time.Duration
	nodeRate     int64
}

// minNodeRate is the least that the API takes for an EdgeNode as well.
const minNodeRate = 1024

func defaultOptions() *options {
	hostname, _ := os.Hostname()
	return &options{
		namespace:   envOr("POD_NAMESPACE", command.InstallNamespace),
		replica:     strings.ToLower(envOr("POD_NAME", hostname)),
		metricsBind: ":8080",
		healthBind:  ":8081",
		query:       defaultQueryOptions(),
		pprofBind:   "0",
		hub: hubOptions{
			bind:         ":10443",
			publicNames:  []string{"localhost", "127.0.0.1"},
			maxNodes:     20_000,
			maxPending:   1024,
			heartbeat:    20 * time.Second,
			nodeLifetime: pki.NodeLifetime,
			renewalGrace: 365 * 24 * time.Hour,
		},
	}
}

func envOr(name, fallback string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return fallback
}

func (o *options) bind(flags *pflag.FlagSet) {
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "path of the kubeconfig file (default: the pod's own account, or as kubectl finds it)")
	flags.StringVar(&o.namespace, "namespace", o.namespace, "namespace of the manager, where its CA and the join tokens are kept ($POD_NAMESPACE)")
	flags.StringVar(&o.replica, "replica-name", o.replica, "name of this replica, unique among them ($POD_NAME, or the host name)")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "elect one replica to write shared status")
	flags.StringVar(&o.metricsBind, "metrics-bind-address", o.metricsBind, "address of the metrics endpoint; 0 turns it off")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", true, "serve metrics over TLS, to callers that the API server authorizes")
	flags.StringVar(&o.healthBind, "health-probe-bind-address", o.healthBind, "address of /healthz and /readyz; 0 turns them off")
	flags.StringVar(&o.pprofBind, "pprof-bind-address", o.pprofBind, "address of /debug/pprof, which anybody may read who reaches it, such as 127.0.0.1:6060; 0 turns it off")
	flags.StringVar(&o.hub.bind, "hub-bind-address", o.hub.bind, "address on which agents connect")
	flags.StringSliceVar(&o.hub.publicNames, "hub-public-names", o.hub.publicNames, "DNS names and IP addresses by which agents reach the hub; its certificate is made for them")
	flags.StringSliceVar(&o.hub.addresses, "hub-addresses", nil, "addresses that agents are told to use from now on, as https://host:port, the preferred first; by default they stay where they have joined")
	flags.IntVar(&o.hub.maxNodes, "hub-max-nodes", o.hub.maxNodes, "most nodes that this replica serves")
	flags.IntVar(&o.hub.maxPending, "hub-max-pending-connections", o.hub.maxPending, "most connections that are no sessions of nodes; beyond, the address that has most of them loses its oldest")
	flags.DurationVar(&o.hub.heartbeat, "hub-heartbeat", o.hub.heartbeat, "how often agents ping; after two and a half periods of silence a connection is given up")
	flags.DurationVar(&o.hub.nodeLifetime, "node-certificate-lifetime", o.hub.nodeLifetime, "how long the certificates of nodes are valid")
	flags.DurationVar(&o.hub.renewalGrace, "node-certificate-renewal-grace", o.hub.renewalGrace, "how long after its end the certificate of a node that was away can still be renewed")
	o.query.flags(flags)
	flags.Int64Var(&o.hub.nodeRate, "node-bytes-per-second", 0, "most bytes that are sent to a node in a second, on average, unless its EdgeNode says otherwise; 0 is no bound")
	zapFlags := flag.NewFlagSet("zap", flag.ContinueOnError)
	o.log.BindFlags(zapFlags)
	flags.AddGoFlagSet(zapFlags)
}

func (o *options) validate() error {
	switch {
	case o.namespace == "":
		return errors.New("--namespace must not be empty")
	case len(validation.IsDNS1123Subdomain(o.replica)) > 0 || len(o.replica) > replica.MaxNameLength:
		return fmt.Errorf("--replica-name must be a DNS name of at most %d characters, not %q: set it where $POD_NAME or the host name is no such name",
			replica.MaxNameLength, o.replica)
	case o.hub.heartbeat < time.Second || o.hub.heartbeat > 5*time.Minute:
		return fmt.Errorf("--hub-heartbeat must be between 1s and 5m, not %s", o.hub.heartbeat)
	case o.hub.maxNodes < 1:
		return fmt.Errorf("--hub-max-nodes must be positive, not %d", o.hub.maxNodes)
	case o.hub.maxPending < 1:
		return fmt.Errorf("--hub-max-pending-connections must be positive, not %d", o.hub.maxPending)
	case o.hub.nodeLifetime <= 0:
		return fmt.Errorf("--node-certificate-lifetime must be positive, not %s", o.hub.nodeLifetime)
	case o.hub.renewalGrace < 0:
		return fmt.Errorf("--node-certificate-renewal-grace must not be negative, but is %s", o.hub.renewalGrace)
	case o.hub.nodeRate < 0 || o.hub.nodeRate > 0 && o.hub.nodeRate < minNodeRate:
		return fmt.Errorf("--node-bytes-per-second must be 0 or at least %d, not %d", minNodeRate, o.hub.nodeRate)
	}
	return errors.Join(o.hub.completeAddresses(), o.query.complete())
}
