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

package command

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
)

func newJoin() *cobra.Command {
	var options identity.Options
	cmd := &cobra.Command{
		Use:   "join --hub https://HOST:PORT --token TOKEN --ca-hash sha256:HASH",
		Short: "Make this machine a node of a hub",
		Long: "join makes a private key, which never leaves the machine, and has the hub certify it for a join\n" +
			"token. `manager token create` prints the command with all that belongs into it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := setNode(&options.Node); err != nil {
				return err
			}
			if err := identity.Join(cmd.Context(), options); err != nil {
				return fmt.Errorf("join: %w", err)
			}
			return reportJoined(cmd, options.StateDir)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&options.Hub, "hub", "", "address of the hub, https://host:port")
	flags.StringVar(&options.Token, "token", "", "join token")
	flags.StringVar(&options.CAHash, "ca-hash", "", "hash of the certificate of the hub's CA, sha256:...")
	flags.StringVar(&options.Node, "node", "", "name of the node; by default the host name of the machine")
	flags.BoolVar(&options.Force, "force", false, "replace the identity of a machine that has joined already")
	addStateDir(cmd, &options.StateDir)
	for _, required := range []string{"hub", "token", "ca-hash"} {
		if err := cmd.MarkFlagRequired(required); err != nil {
			panic(err) // a flag that is not there
		}
	}
	return cmd
}

func setNode(node *string) error {
	if *node != "" {
		return nil
	}
	name, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find out the host name (or give --node): %w", err)
	}
	*node = name
	return nil
}

func reportJoined(cmd *cobra.Command, stateDir string) error {
	joined, err := identity.Load(stateDir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "This machine is now node %q of %s; its certificate is valid until %s.\n"+
		"Start the agent with `edge-agent run`; if it runs already, restart it.\n",
		joined.Node(), joined.Hub(), joined.NotAfter().Format(time.RFC3339))
	return err
}
