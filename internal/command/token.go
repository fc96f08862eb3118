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
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/edgesync/edgesync/internal/enroll"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/pki/castore"
)

const (
	hubPlaceholder = "https://HUB_ADDRESS:PORT"

	// expiredKept is how long token create leaves expired tokens to be looked at.
	expiredKept = 24 * time.Hour
)

// tokenCommand holds what the subcommands of token share.
type tokenCommand struct {
	// program is how the user calls the program that this is a command of.
	program string
	connect func() (enroll.Tokens, error)
}

// NewToken makes the command token, which manages join tokens with the rights of the
// caller. program is what stands before the command in examples. connect is called when a
// subcommand runs, and so after flags have been parsed.
func NewToken(program string, connect func() (enroll.Tokens, error)) *cobra.Command {
	t := &tokenCommand{program: program, connect: connect}
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke the tokens that machines join with",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(t.create(), t.list(), t.revoke())
	return cmd
}

// createdToken is the answer of token create, as -o json prints it.
type createdToken struct {
	ID      string    `json:"id"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
	Hub     string    `json:"hub,omitempty"`
	CAHash  string    `json:"caHash"`
	Command string    `json:"command"`
}

func (t *tokenCommand) create() *cobra.Command {
	var template enroll.Token
	var ttl time.Duration
	var hub, output string
	cmd := &cobra.Command{
		Use:   "create",
		Short: "Create a join token and print the command that joins a machine with it",
		Long: "Create a join token and print the command that joins a machine with it.\n\n" +
			"The token cannot be shown again: the cluster keeps only a hash of it.",
		Example: "  " + t.program + " token create --hub https://hub.example.com:8443 --node edge-1 --label region=eu",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := CheckOutput(output); err != nil {
				return err
			}
			if ttl <= 0 {
				return fmt.Errorf("--ttl must be positive, not %s", ttl)
			}
			if hub != "" {
				if _, err := joinapi.ParseHub(hub); err != nil {
					return fmt.Errorf("--hub: %w", err)
				}
			}
			template.Expires = time.Now().Add(ttl)
			created, err := t.createToken(cmd, template, hub)
			if err != nil {
				return err
			}
			if output == "json" {
				return PrintJSON(cmd.OutOrStdout(), created)
			}
			return printCreated(cmd.OutOrStdout(), created)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&template.Node, "node", "", "the only node name that may join with the token")
	flags.StringVar(&template.NodePrefix, "node-prefix", "", "how the name of a node that joins must begin")
	flags.BoolVar(&template.Rejoin, "rejoin", false, "let a machine take the place of --node although that has joined before")
	flags.DurationVar(&ttl, "ttl", 24*time.Hour, "how long the token works")
	flags.IntVar(&template.Uses, "uses", 1, "how many machines may join with the token")
	flags.StringToStringVar(&template.Labels, "label", nil, "label of the EdgeNode that the token makes, as key=value; may be repeated")
	flags.StringVar(&hub, "hub", "", "address of the hub for the printed command, as https://host:port")
	AddOutputFlag(cmd, &output)
	return cmd
}

func (t *tokenCommand) createToken(cmd *cobra.Command, template enroll.Token, hub string) (*createdToken, error) {
	token, text, err := enroll.NewToken(template)
	if err != nil {
		return nil, err
	}
	tokens, err := t.connect()
	if err != nil {
		return nil, err
	}
	ca, err := castore.Load(cmd.Context(), tokens.Client, tokens.Namespace, time.Now())
	if apierrors.IsNotFound(err) {
		return nil, NoCA(tokens.Namespace, err)
	}
	if err != nil {
		return nil, err
	}
	if err := tokens.Create(cmd.Context(), token); err != nil {
		return nil, err
	}
	t.revokeForgotten(cmd, tokens)
	return &createdToken{
		ID:      token.ID,
		Token:   text,
		Expires: token.Expires.UTC().Truncate(time.Second),
		Hub:     hub,
		CAHash:  ca.Hash(),
		Command: joinCommand(hub, text, ca.Hash(), token.Node),
	}, nil
}

// revokeForgotten revokes tokens that nobody can use any more, if the caller may.
func (t *tokenCommand) revokeForgotten(cmd *cobra.Command, tokens enroll.Tokens) {
	before := time.Now().Add(-expiredKept)
	found, err := tokens.List(cmd.Context())
	problems := []error{err}
	for _, token := range found {
		if !token.Unmanaged && token.Expires.Before(before) {
			problems = append(problems, tokens.Revoke(cmd.Context(), token.ID))
		}
	}
	if err := errors.Join(problems...); err != nil && !apierrors.IsForbidden(err) {
		cmd.PrintErrf("Old join tokens could not be removed: %v\n", err)
	}
}

func joinCommand(hub, token, caHash, node string) string {
	if hub == "" {
		hub = hubPlaceholder
	}
	command := fmt.Sprintf("edge-agent join --hub %s --token %s --ca-hash %s", hub, token, caHash)
	if node != "" {
		command += " --node " + node
	}
	return command
}

func printCreated(w io.Writer, created *createdToken) error {
	note := ""
	if created.Hub == "" {
		note = fmt.Sprintf("\nReplace %s by the address of the hub; --hub puts it there.\n", hubPlaceholder)
	}
	_, err := fmt.Fprintf(w, "Token:    %s\nExpires:  %s\nCA hash:  %s\n\nOn the machine that is to join, run:\n\n  %s\n%s",
		created.Token, created.Expires.Format(time.RFC3339), created.CAHash, created.Command, note)
	return err
}

func (t *tokenCommand) revoke() *cobra.Command {
	var expired bool
	cmd := &cobra.Command{
		Use:   "revoke {ID... | --expired}",
		Short: "Revoke join tokens; machines that have joined with them stay",
		Args: func(_ *cobra.Command, ids []string) error {
			if expired == (len(ids) > 0) {
				return errors.New("name the tokens to revoke by their IDs, or use --expired")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, ids []string) error {
			tokens, err := t.connect()
			if err != nil {
				return err
			}
			var problems []error
			if expired {
				if ids, err = expiredTokens(cmd, tokens); err != nil {
					problems = append(problems, err)
				}
			}
			for _, id := range ids {
				if err := tokens.Revoke(cmd.Context(), id); err != nil {
					problems = append(problems, err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "join token %s revoked\n", id)
			}
			return errors.Join(problems...)
		},
	}
	cmd.Flags().BoolVar(&expired, "expired", false, "revoke all tokens that have expired or are used up")
	return cmd
}

// expiredTokens are the IDs of the tokens that revoke --expired is about, be there an
// error or not. The use of a token is forgotten with its Secret: one that somebody else
// may make again has to stay until it expires.
func expiredTokens(cmd *cobra.Command, tokens enroll.Tokens) ([]string, error) {
	found, err := tokens.List(cmd.Context())
	now := time.Now()
	var ids []string
	for _, token := range found {
		switch state := token.State(now); {
		case state == enroll.TokenUsed && token.Unmanaged:
			cmd.PrintErrf("join token %s is used up and kept until it expires, since `token create` has not made it: "+
				"whoever has might make it again, as if it had not been used\n", token.ID)
		case state != enroll.TokenValid:
			ids = append(ids, token.ID)
		}
	}
	return ids, err
}
