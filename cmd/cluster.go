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

	"github.com/spf13/pflag"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/command"
)

// clusterAccess is how an administrator's commands reach the cluster of the manager.
type clusterAccess struct {
	kubeconfig string
	namespace  string
	// connect makes the client; a test replaces it.
	connect func(kubeconfig string) (client.Client, error)
}

func (a *clusterAccess) bind(flags *pflag.FlagSet) {
	flags.StringVar(&a.kubeconfig, "kubeconfig", "", "path of the kubeconfig file (default: as kubectl finds it)")
	flags.StringVarP(&a.namespace, "namespace", "n", envOr("POD_NAMESPACE", command.InstallNamespace), "namespace of the manager ($POD_NAMESPACE)")
}

// connect returns a client that reads from the API server.
func connect(kubeconfig string) (client.Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{}).ClientConfig()
	if clientcmd.IsEmptyConfig(err) {
		return nil, errors.New("there is no kubeconfig: set KUBECONFIG, or use --kubeconfig")
	}
	if err != nil {
		return nil, fmt.Errorf("load the kubeconfig: %w", err)
	}
	return client.New(config, client.Options{})
}
