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

package query

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Where the API server says how it proves that it is the one that asks, and how often that
// is read: whoever replaces its CA has both trusted for a while.
const (
	authenticationConfigMap = "extension-apiserver-authentication"
	pollInterval            = 30 * time.Second
	pollTimeout             = 20 * time.Second
)

// +kubebuilder:rbac:groups="",resources=configmaps,resourceNames=extension-apiserver-authentication,verbs=get

// frontProxy is the API server as an aggregated API meets it: see
// https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer. Until it
// has been read, nobody is the API server.
type frontProxy struct {
	reader  client.Reader
	log     logr.Logger
	current atomic.Pointer[frontProxyConfig]
	// reported is the last problem that was logged.
	reported string
}

// frontProxyConfig is what the ConfigMap says, in which the lists are JSON.
type frontProxyConfig struct {
	authority     string // PEM
	authenticator authenticator.Request
	headers
}

type headers struct{ names, user, uid, group, extra string }

// run keeps up with the ConfigMap until ctx is done.
func (f *frontProxy) run(ctx context.Context) {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		f.report(f.poll(ctx))
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (f *frontProxy) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	var config corev1.ConfigMap
	if err := f.reader.Get(ctx, client.ObjectKey{Namespace: metav1.NamespaceSystem, Name: authenticationConfigMap}, &config); err != nil {
		return err
	}
	loaded, err := parseFrontProxy(config.Data)
	if err != nil {
		return err
	}
	if before := f.current.Swap(loaded); before == nil || before.authority != loaded.authority || before.headers != loaded.headers {
		f.log.Info("Knows how the API server proves itself")
	}
	return nil
}

func (f *frontProxy) report(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	if problem != "" && problem != f.reported {
		f.log.Error(err, "Cannot tell who is the API server", "configMap", metav1.NamespaceSystem+"/"+authenticationConfigMap)
	}
	f.reported = problem
}

func parseFrontProxy(data map[string]string) (*frontProxyConfig, error) {
	config := &frontProxyConfig{authority: data["requestheader-client-ca-file"], headers: headers{
		names: data["requestheader-allowed-names"],
		user:  data["requestheader-username-headers"], uid: data["requestheader-uid-headers"],
		group: data["requestheader-group-headers"], extra: data["requestheader-extra-headers-prefix"],
	}}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(config.authority)) {
		return nil, errors.New("it names no CA (--requestheader-client-ca-file of the API server): the aggregation layer is not configured")
	}
	var lists [5]headerrequest.StaticStringSlice
	for i, list := range []string{config.names, config.user, config.uid, config.group, config.extra} {
		if list == "" {
			continue // as before Kubernetes 1.32, which knew no header for the uid
		}
		if err := json.Unmarshal([]byte(list), &lists[i]); err != nil {
			return nil, fmt.Errorf("a list in it: %w", err)
		}
	}
	if len(lists[1]) == 0 {
		return nil, errors.New("it names no header for the user (--requestheader-username-headers of the API server)")
	}
	verification := x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	config.authenticator = headerrequest.NewDynamicVerifyOptionsSecure(
		func() (x509.VerifyOptions, bool) { return verification, true }, lists[0], lists[1], lists[2], lists[3], lists[4])
	return config, nil
}

// AuthenticateRequest implements authenticator.Request.
func (f *frontProxy) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	config := f.current.Load()
	if config == nil {
		return nil, false, errors.New("it is not known yet how the API server proves itself")
	}
	return config.authenticator.AuthenticateRequest(r)
}
