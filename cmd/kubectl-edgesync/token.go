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
	"github.com/spf13/cobra"

	"github.com/edgesync/edgesync/internal/command"
	"github.com/edgesync/edgesync/internal/enroll"
)

// token manages join tokens, which are in the namespace of the manager. The namespace of
// the kubeconfig is about other things.
func (p *plugin) token() *cobra.Command {
	cmd := command.NewToken("kubectl edgesync", func() (enroll.Tokens, error) {
		namespace := command.InstallNamespace
		if *p.flags.Namespace != "" {
			namespace = *p.flags.Namespace
		}
		c, err := p.client()
		return enroll.Tokens{Client: c, Namespace: namespace}, err
	})
	cmd.Long = cmd.Short + ".\n\nTokens are in the namespace of the manager: " + command.InstallNamespace +
		" unless --namespace says another."
	return cmd
}
