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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/edgesync/edgesync/internal/enroll"
	"github.com/edgesync/edgesync/internal/pki/castore"
)

// runToken runs the command token with the arguments against c.
func runToken(t *testing.T, c client.Client, args ...string) (string, error) {
	t.Helper()
	tokens := enroll.Tokens{Client: c}
	cmd := NewToken("manager", func() (enroll.Tokens, error) { return tokens, nil })
	cmd.PersistentFlags().StringVarP(&tokens.Namespace, "namespace", "n", InstallNamespace, "")
	return run(t, cmd, args...)
}

// run runs a command with the arguments, and returns all that it prints.
func run(t *testing.T, cmd *cobra.Command, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// newFakeClient makes a client of an API server without anything.
func newFakeClient() client.Client {
	return fake.NewClientBuilder().
		WithIndex(&corev1.Secret{}, "type", func(o client.Object) []string { return []string{string(o.(*corev1.Secret).Type)} }).
		Build()
}

// newClientWithCA is a client of an API server where managers of the namespaces have started.
func newClientWithCA(t *testing.T, namespaces ...string) client.Client {
	t.Helper()
	c := newFakeClient()
	for _, namespace := range namespaces {
		store := &castore.Store{Client: c, Namespace: namespace, Now: time.Now}
		_, err := store.Load(t.Context())
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
	}
	return c
}

func TestTokenCreate(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, InstallNamespace)

	out, err := runToken(t, c, "create", "--hub", "https://hub:8443", "--node", "edge-1", "--ttl", "1h", "-o", "json")

	g.Expect(err).NotTo(HaveOccurred())
	var created createdToken
	g.Expect(json.Unmarshal([]byte(out), &created)).To(Succeed())
	ca, err := castore.Load(t.Context(), c, InstallNamespace, time.Now())
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(created.CAHash).To(Equal(ca.Hash()))
	g.Expect(created.Token).To(HavePrefix(created.ID + "."))
	g.Expect(created.Expires).To(BeTemporally("~", time.Now().Add(time.Hour), time.Minute))
	g.Expect(created.Command).To(Equal("edge-agent join --hub https://hub:8443 --token " + created.Token + " --ca-hash " + created.CAHash + " --node edge-1"))

	out, err = runToken(t, c, "create")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).To(And(ContainSubstring("edge-agent join --hub "+hubPlaceholder), ContainSubstring("Replace "+hubPlaceholder)))
	g.Expect(out).To(ContainSubstring("--ca-hash " + created.CAHash))
}

// A CA that the manager does not have would make a token that no hub takes.
func TestTokenCreateWithoutAManager(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, InstallNamespace)
	_, err := runToken(t, c, "create", "-n", "elsewhere")
	g.Expect(err).To(MatchError(And(ContainSubstring("namespace elsewhere"), ContainSubstring("--namespace"))))
	secrets := &corev1.SecretList{}
	g.Expect(c.List(t.Context(), secrets, client.InNamespace("elsewhere"))).To(Succeed())
	g.Expect(secrets.Items).To(BeEmpty())
}

func TestTokenCreateRefuses(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for args, text := range map[string]string{
		"--ttl 0s":                          "--ttl must be positive",
		"--ttl -1h":                         "--ttl must be positive",
		"--uses 0":                          "at least 1",
		"--rejoin":                          "bound to a node name",
		"--node edge-1 --node-prefix edge-": "exclude each other",
		"--node Edge":                       "not a node name",
		"--label region":                    "must be formatted as key=value",
		"--label a/b/c=d":                   "labels",
		"--label self.sync.edgesync.io/a=b": "for the node to say",
		"--hub hub:8443":                    "https://host:port",
		"--hub http://hub:8443":             "https://host:port",
		"-o yaml":                           "unknown output format",
		"extra":                             "unknown command",
	} {
		c := newFakeClient()
		_, err := runToken(t, c, append([]string{"create"}, strings.Fields(args)...)...)
		g.Expect(err).To(MatchError(ContainSubstring(text)), args)
		secrets := &corev1.SecretList{}
		g.Expect(c.List(t.Context(), secrets)).To(Succeed())
		g.Expect(secrets.Items).To(BeEmpty(), args)
	}
}

func TestTokenList(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, InstallNamespace, "elsewhere")
	for _, args := range []string{
		"create --node edge-1 --rejoin --ttl 90m",
		"create --node-prefix shop- --uses 20 --label region=eu --label app=till --ttl 48h",
		"create --ttl 1ns",
		"create -n elsewhere",
	} {
		_, err := runToken(t, c, strings.Fields(args)...)
		g.Expect(err).NotTo(HaveOccurred())
	}

	change(t, c, func(data map[string][]byte) bool { return string(data["node"]) == "edge-1" },
		map[string]string{"used": "1", "last-node": "edge-1"})

	out, err := runToken(t, c, "list")

	g.Expect(err).NotTo(HaveOccurred())
	lines := strings.Split(strings.TrimSpace(out), "\n")
	g.Expect(lines).To(HaveLen(4))
	g.Expect(strings.Fields(lines[0])).To(Equal([]string{"ID", "NODE", "STATE", "USED/USES", "EXPIRES", "LABELS"}))
	g.Expect(lines[1:]).To(ConsistOf(
		MatchRegexp(`^\S{8} +edge-1 \(rejoin\) +used +1/1 +89m +<none>$`),
		MatchRegexp(`^\S{8} +shop-\* +valid +0/20 +47h +app=till,region=eu$`),
		MatchRegexp(`^\S{8} +\* +expired +0/1 +\d+s ago +<none>$`),
	))

	out, err = runToken(t, c, "list", "-o", "json")
	g.Expect(err).NotTo(HaveOccurred())
	var listed []listedToken
	g.Expect(json.Unmarshal([]byte(out), &listed)).To(Succeed())
	g.Expect(listed).To(HaveLen(3))
	g.Expect(listed).To(ContainElement(And(
		HaveField("State", enroll.TokenUsed), HaveField("Uses", 1), HaveField("Used", 1), HaveField("LastNode", "edge-1"))))

	out, err = runToken(t, c, "list", "-n", "empty", "-o", "json")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).To(MatchJSON("[]"))
}

func TestTokenRevoke(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, InstallNamespace)
	out, err := runToken(t, c, "create", "-o", "json")
	g.Expect(err).NotTo(HaveOccurred())
	var created createdToken
	g.Expect(json.Unmarshal([]byte(out), &created)).To(Succeed())

	out, err = runToken(t, c, "revoke", "abcd1234", created.ID)

	g.Expect(err).To(MatchError(ContainSubstring("there is no join token abcd1234")))
	g.Expect(out).To(Equal("join token "+created.ID+" revoked\n"), "the others are revoked all the same")
	for _, args := range [][]string{{"revoke"}, {"revoke", "abcd1234", "--expired"}} {
		_, err = runToken(t, c, args...)
		g.Expect(err).To(MatchError(ContainSubstring("or use --expired")))
	}
}

// change sets data of the tokens that are meant, as the manager or a GitOps tool would.
func change(t *testing.T, c client.Client, meant func(map[string][]byte) bool, data map[string]string) {
	t.Helper()
	g := NewWithT(t)
	secrets := &corev1.SecretList{}
	g.Expect(c.List(t.Context(), secrets, client.MatchingFields{"type": string(enroll.SecretType)})).To(Succeed())
	for _, secret := range secrets.Items {
		if !meant(secret.Data) {
			continue
		}
		for key, value := range data {
			secret.Data[key] = []byte(value)
		}
		if data["by"] != "" {
			secret.Labels = nil
		}
		g.Expect(c.Update(t.Context(), &secret)).To(Succeed())
	}
}

// spentTokens makes tokens of nodes that are called after what is the matter with them.
func spentTokens(t *testing.T, c client.Client) {
	t.Helper()
	long, short := time.Now().Add(-25*time.Hour).Format(time.RFC3339), time.Now().Add(-time.Hour).Format(time.RFC3339)
	for node, data := range map[string]map[string]string{
		"valid":         {},
		"used":          {"used": "1"},
		"expired":       {"expires": short},
		"forgotten":     {"expires": long},
		"used-git":      {"used": "1", "by": "git"},
		"forgotten-git": {"expires": long, "by": "git"},
	} {
		_, err := runToken(t, c, "create", "--node", node)
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		change(t, c, func(stored map[string][]byte) bool { return string(stored["node"]) == node }, data)
	}
}

func listedNodes(t *testing.T, c client.Client) []string {
	t.Helper()
	g := NewWithT(t)
	out, err := runToken(t, c, "list", "-o", "json")
	g.Expect(err).NotTo(HaveOccurred())
	var listed []listedToken
	g.Expect(json.Unmarshal([]byte(out), &listed)).To(Succeed())
	var nodes []string
	for _, token := range listed {
		nodes = append(nodes, token.Node)
	}
	return nodes
}

// Used-up tokens that a GitOps tool may make again are kept, since they would work again.
func TestTokenRevokeExpired(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, InstallNamespace)
	spentTokens(t, c)

	out, err := runToken(t, c, "revoke", "--expired")

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).To(ContainSubstring("kept until it expires"))
	g.Expect(listedNodes(t, c)).To(ConsistOf("valid", "used-git"))
}

func TestTokenCreateRevokesForgottenOnes(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, InstallNamespace)
	spentTokens(t, c)

	_, err := runToken(t, c, "create", "--node", "new")

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(listedNodes(t, c)).To(ConsistOf("new", "valid", "used", "expired", "used-git", "forgotten-git"))
}

// Whoever may create tokens need not be allowed to list or to delete them.
func TestTokenCreateMayBeAllThatIsAllowed(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, InstallNamespace)
	var denied error
	guarded := interceptor.NewClient(c.(client.WithWatch), interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return denied },
	})

	denied = apierrors.NewForbidden(corev1.Resource("secrets"), "", errors.New("no"))
	out, err := runToken(t, guarded, "create", "--node", "edge-1")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).NotTo(ContainSubstring("could not be removed"))

	denied = errors.New("the network is down")
	out, err = runToken(t, guarded, "create", "--node", "edge-2")
	g.Expect(err).NotTo(HaveOccurred(), "the token is there, and can be shown only now")
	g.Expect(out).To(And(ContainSubstring("could not be removed"), ContainSubstring("edge-agent join")))
}

func TestTokenWithoutACluster(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	lost := errors.New("no cluster")
	_, err := run(t, NewToken("manager", func() (enroll.Tokens, error) { return enroll.Tokens{}, lost }), "list")
	g.Expect(err).To(MatchError(lost))
}
