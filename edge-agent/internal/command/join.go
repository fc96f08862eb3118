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
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
)

func newJoin() *cobra.Command {
	var options identity.Options
	var tokenFile, sealKeyFile string
	cmd := &cobra.Command{
		Use:   "join --hub https://HOST:PORT --token-file FILE --ca-hash sha256:HASH",
		Short: "Make this machine a node of a hub",
		Long: "join makes a private key, which never leaves the machine, and has the hub certify it for a join\n" +
			"token, which is taken from --token-file, --token or $" + tokenVariable + ". `manager token create` prints\n" +
			"the command with all that belongs into it.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := setNode(&options.Node); err != nil {
				return err
			}
			if err := setToken(&options.Token, tokenFile, cmd.InOrStdin()); err != nil {
				return err
			}
			var err error
			if options.SealKey, err = identity.FindSealKey(sealKeyFile, os.Getenv("CREDENTIALS_DIRECTORY")); err != nil {
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
	flags.StringVar(&options.Token, "token", "", "join token; everybody on the machine can see it in the list of processes while the command runs")
	flags.StringVar(&tokenFile, "token-file", "", "file that holds the join token; - is standard input")
	flags.StringVar(&options.CAHash, "ca-hash", "", "hash of the certificate of the hub's CA, sha256:...")
	flags.StringVar(&options.Node, "node", "", "name of the node; by default the host name of the machine")
	flags.BoolVar(&options.Force, "force", false, "replace the identity of a machine that has joined already")
	addStateDir(cmd, &options.StateDir)
	addSealKeyFile(flags, &sealKeyFile)
	cmd.MarkFlagsMutuallyExclusive("token", "token-file")
	for _, required := range []string{"hub", "ca-hash"} {
		if err := cmd.MarkFlagRequired(required); err != nil {
			panic(err) // a flag that is not there
		}
	}
	return cmd
}

const (
	// tokenVariable is where a join token may stand instead of a flag.
	tokenVariable = "EDGESYNC_JOIN_TOKEN"
	maxTokenFile  = 4096
)

// setToken takes the token from wherever it is given.
func setToken(token *string, file string, stdin io.Reader) error {
	switch {
	case *token != "":
		return nil
	case file == "":
		if *token = os.Getenv(tokenVariable); *token == "" {
			return fmt.Errorf("a join token is needed: give a file with --token-file, or set $%s", tokenVariable)
		}
		return nil
	case file != "-":
		opened, err := os.Open(file)
		if err != nil {
			return fmt.Errorf("read the join token: %w", err)
		}
		defer opened.Close()
		stdin = opened
	}
	text, err := io.ReadAll(io.LimitReader(stdin, maxTokenFile))
	if err != nil {
		return fmt.Errorf("read the join token: %w", err)
	}
	*token = strings.TrimSpace(string(text))
	return nil
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
		joined.Node(), joined.Hubs()[0], joined.NotAfter().Format(time.RFC3339))
	return err
}
