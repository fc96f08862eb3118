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
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/command"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
)

// caCommand holds what the subcommands of ca share.
type caCommand struct {
	clusterAccess
}

// newCACommand manages the CA with the rights of the caller's kubeconfig.
func newCACommand() *cobra.Command {
	return (&caCommand{clusterAccess{connect: connect}}).command()
}

func (c *caCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Show and replace the CA that nodes and the hub have their certificates from",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.bind(cmd.PersistentFlags())
	cmd.AddCommand(c.show(), c.rotate(), c.untrust())
	return cmd
}

// read is the state of the CA, and the client to change it with.
func (c *caCommand) read(cmd *cobra.Command) (client.Client, *castore.Status, error) {
	cluster, err := c.connect(c.kubeconfig)
	if err != nil {
		return nil, nil, err
	}
	status, err := castore.Read(cmd.Context(), cluster, c.namespace, time.Now())
	if apierrors.IsNotFound(err) {
		return nil, nil, command.NoCA(c.namespace, err)
	}
	return cluster, status, err
}

// shownCA is one CA of ca show, as -o json prints it.
type shownCA struct {
	Hash     string    `json:"hash"`
	Subject  string    `json:"subject"`
	NotAfter time.Time `json:"notAfter"`
}

// shownCAs is the answer of ca show, as -o json prints it.
type shownCAs struct {
	Signer  shownCA   `json:"signer"`
	Earlier []shownCA `json:"earlier"`
	// Pending is the hash of a CA in the Secret that is not in use.
	Pending string `json:"pending,omitempty"`
	Problem string `json:"problem,omitempty"`
}

func showCA(cert *x509.Certificate) shownCA {
	return shownCA{Hash: pki.HashOf(cert), Subject: cert.Subject.String(), NotAfter: cert.NotAfter}
}

func (c *caCommand) show() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Show the CA in use and the earlier ones that are still trusted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := command.CheckOutput(output); err != nil {
				return err
			}
			_, status, err := c.read(cmd)
			if err != nil {
				return err
			}
			shown := shownCAs{Signer: showCA(status.CA.Certificate()), Earlier: []shownCA{}}
			for _, earlier := range status.Earlier {
				shown.Earlier = append(shown.Earlier, showCA(earlier))
			}
			if status.Problem != nil {
				shown.Problem = status.Problem.Error()
			} else if !status.Supplied.Certificate().Equal(status.CA.Certificate()) {
				shown.Pending = status.Supplied.Hash()
			}
			if output == "json" {
				return command.PrintJSON(cmd.OutOrStdout(), shown)
			}
			return c.print(cmd.OutOrStdout(), shown, time.Now())
		},
	}
	command.AddOutputFlag(cmd, &output)
	return cmd
}

func (c *caCommand) print(out io.Writer, shown shownCAs, now time.Time) error {
	w := tabwriter.NewWriter(out, 6, 4, 3, ' ', 0)
	fmt.Fprintln(w, "HASH\tUSE\tEXPIRES\tSUBJECT")
	for i, ca := range append([]shownCA{shown.Signer}, shown.Earlier...) {
		use, expires := "trusted", "<expired>"
		if i == 0 {
			use = "signs"
		}
		if left := ca.NotAfter.Sub(now); left > 0 {
			expires = duration.HumanDuration(left)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", ca.Hash, use, expires, ca.Subject)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if shown.Problem != "" {
		fmt.Fprintf(out, "\n%s\n", shown.Problem)
	}
	if shown.Pending != "" {
		fmt.Fprintf(out, "\nThe Secret %[1]s holds another CA, %[2]s. The managers change to it within a minute;\n"+
			"if they do not, an Event says why: kubectl -n %[3]s events --for secret/%[1]s\n",
			castore.SecretName, shown.Pending, c.namespace)
	}
	return nil
}

func (c *caCommand) rotate() *cobra.Command {
	var force, acceptStranding bool
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Replace the CA by a new one",
		Long: "Replace the CA by a new one.\n\n" +
			"The managers change to it by themselves, and go on trusting the former one. Nodes that are connected are told\n" +
			"at once, others as soon as they connect: they verify the hub by a cross certificate until then. No node has to\n" +
			"join again, and hashes of the former CA in join commands stay good until it expires or is untrusted.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cluster, status, err := c.read(cmd)
			if err != nil {
				return err
			}
			if status.CertManager != "" && !force {
				return fmt.Errorf("cert-manager keeps the Secret %[1]s by the Certificate %[2]s: have it renew with `cmctl renew -n %[3]s %[2]s`, "+
					"or use --force if it does not do so any longer", castore.SecretName, status.CertManager, c.namespace)
			}
			ca, err := pki.NewCA(time.Now())
			if err != nil {
				return err
			}
			err = castore.Replace(cmd.Context(), cluster, c.namespace, ca, acceptStranding, time.Now())
			if stranded := (*pki.StrandedError)(nil); errors.As(err, &stranded) {
				return fmt.Errorf("%w. Untrust a CA that no node needs any longer with `manager ca untrust`, "+
					"or accept with --accept-stranding that those nodes have to join again", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "The new CA is %s.\nThe managers change to it within a minute; `manager ca show` tells.\n", ca.Hash())
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace a CA that cert-manager keeps")
	cmd.Flags().BoolVar(&acceptStranding, "accept-stranding", false, "replace it even if nodes have to join again")
	return cmd
}

func (c *caCommand) untrust() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "untrust HASH",
		Short: "Stop trusting an earlier CA, because its key may be known to others",
		Long: "Stop trusting an earlier CA, because its key may be known to others, and those before it that vouch for it.\n\n" +
			"Nodes that have their certificate from it, or know no later CA, must join again. To replace a CA that signs and\n" +
			"is compromised, make a new one with `manager ca rotate` first.",
		Example: "  manager ca untrust sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := pki.ValidateHash(args[0]); err != nil {
				return err
			}
			cluster, status, err := c.read(cmd)
			if err != nil {
				return err
			}
			_, removed, err := status.Without(args[0])
			if err != nil {
				return err
			}
			if !yes {
				return fmt.Errorf("nodes that have their certificate from %s, or know no later CA, would have to join again: "+
					"if that is what you want, use --yes", describe(removed))
			}
			if removed, err = castore.Untrust(cmd.Context(), cluster, c.namespace, args[0], time.Now()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s is not trusted any longer.\nThe managers follow within a minute.\n", describe(removed))
			return nil
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it, although nodes may have to join again")
	return cmd
}

func describe(cas []*x509.Certificate) string {
	text := ""
	for i, ca := range cas {
		if i > 0 {
			text += " and "
		}
		text += pki.HashOf(ca)
	}
	return text
}
