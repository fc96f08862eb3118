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
	"encoding/json"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/command"
	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/pki/castore"
)

// runCA runs `manager ca` with the arguments against c.
func runCA(t *testing.T, c client.Client, args ...string) (string, error) {
	t.Helper()
	return runCommand(t, (&caCommand{accessTo(c)}).command(), args...)
}

// follow does what a manager does when it polls.
func follow(t *testing.T, c client.Client) castore.Loaded {
	t.Helper()
	store := castore.Store{Client: c, Namespace: command.InstallNamespace, Hosts: []string{"hub"}, Now: time.Now}
	loaded, err := store.Load(t.Context())
	NewWithT(t).Expect(err).NotTo(HaveOccurred())
	return loaded
}

func shown(t *testing.T, c client.Client) shownCAs {
	t.Helper()
	g := NewWithT(t)
	out, err := runCA(t, c, "show", "-o", "json")
	g.Expect(err).NotTo(HaveOccurred())
	var result shownCAs
	g.Expect(json.Unmarshal([]byte(out), &result)).To(Succeed())
	return result
}

func TestCARotateAndUntrust(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, command.InstallNamespace)
	first := shown(t, c)
	g.Expect(first.Earlier).To(BeEmpty())
	g.Expect(first.Pending).To(BeEmpty())
	g.Expect(first.Signer.NotAfter).To(BeTemporally("~", time.Now().Add(pki.CALifetime), time.Hour))

	out, err := runCA(t, c, "rotate")
	g.Expect(err).NotTo(HaveOccurred())
	pending := shown(t, c)
	g.Expect(out).To(ContainSubstring(pending.Pending))
	g.Expect(pending.Signer).To(Equal(first.Signer), "the managers have not changed yet")
	g.Expect(runCA(t, c, "show")).To(And(ContainSubstring("holds another CA, "+pending.Pending), MatchRegexp(first.Signer.Hash+` + signs`)))

	g.Expect(follow(t, c).Refused).NotTo(HaveOccurred())
	second := shown(t, c)
	g.Expect(second).To(Equal(shownCAs{Signer: second.Signer, Earlier: []shownCA{first.Signer}}))
	g.Expect(second.Signer.Hash).To(Equal(pending.Pending))
	g.Expect(runCA(t, c, "show")).To(And(MatchRegexp(second.Signer.Hash+` + signs +9y`), MatchRegexp(first.Signer.Hash+` + trusted +9y`)))

	_, err = runCA(t, c, "untrust", second.Signer.Hash, "--yes")
	g.Expect(err).To(MatchError(ContainSubstring("make a new one first")))
	_, err = runCA(t, c, "untrust", "sha256:00", "--yes")
	g.Expect(err).To(MatchError(ContainSubstring("a CA hash is")))
	_, err = runCA(t, c, "untrust", first.Signer.Hash)
	g.Expect(err).To(MatchError(And(ContainSubstring("--yes"), ContainSubstring("join again"))))
	g.Expect(shown(t, c)).To(Equal(second))

	out, err = runCA(t, c, "untrust", first.Signer.Hash, "--yes")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).To(ContainSubstring(first.Signer.Hash))
	g.Expect(shown(t, c)).To(Equal(shownCAs{Signer: second.Signer, Earlier: []shownCA{}}))
	g.Expect(follow(t, c).Anchors()).To(HaveLen(1))
}

func TestCAUntrustWhatTheSecretHolds(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, command.InstallNamespace)
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: command.InstallNamespace, Name: castore.SecretName}
	g.Expect(c.Get(t.Context(), key, secret)).To(Succeed())
	_, err := runCA(t, c, "rotate")
	g.Expect(err).NotTo(HaveOccurred())
	follow(t, c)
	now := &corev1.Secret{}
	g.Expect(c.Get(t.Context(), key, now)).To(Succeed())
	now.Data = secret.Data
	g.Expect(c.Update(t.Context(), now)).To(Succeed())

	_, err = runCA(t, c, "untrust", shown(t, c).Earlier[0].Hash, "--yes")

	g.Expect(err).To(MatchError(ContainSubstring("would come back")))
}

func TestCARotateRefuses(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	_, err := runCA(t, newFakeClient(), "rotate")
	g.Expect(err).To(MatchError(ContainSubstring("start the manager")))
	_, err = runCA(t, newFakeClient(), "show")
	g.Expect(err).To(MatchError(ContainSubstring("start the manager")))

	c := newClientWithCA(t, command.InstallNamespace)
	secret := &corev1.Secret{}
	g.Expect(c.Get(t.Context(), client.ObjectKey{Namespace: command.InstallNamespace, Name: castore.SecretName}, secret)).To(Succeed())
	secret.Annotations = map[string]string{"cert-manager.io/certificate-name": "hub-ca"}
	g.Expect(c.Update(t.Context(), secret)).To(Succeed())
	_, err = runCA(t, c, "rotate")
	g.Expect(err).To(MatchError(And(ContainSubstring("cmctl renew -n edgesync-system hub-ca"), ContainSubstring("--force"))))
	g.Expect(shown(t, c).Pending).To(BeEmpty())
	_, err = runCA(t, c, "rotate", "--force")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(shown(t, c).Pending).NotTo(BeEmpty())

	// With four CAs, the next would strand who knows the oldest alone.
	for range pki.MaxAnchors - 2 {
		follow(t, c)
		_, err = runCA(t, c, "rotate", "--force")
		g.Expect(err).NotTo(HaveOccurred())
	}
	follow(t, c)
	_, err = runCA(t, c, "rotate", "--force")
	g.Expect(err).To(MatchError(And(ContainSubstring("--accept-stranding"), ContainSubstring("ca untrust"))))
	_, err = runCA(t, c, "rotate", "--force", "--accept-stranding")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(follow(t, c).Refused).NotTo(HaveOccurred())
	g.Expect(shown(t, c).Earlier).To(HaveLen(pki.MaxAnchors - 1))
}

func TestHubAddresses(t *testing.T) {
	t.Parallel()
	names := []string{"hub.example.com", "*.edge.example.com", "10.0.0.1"}
	tests := map[string]struct {
		addresses []string
		err       string
	}{
		"none":           {},
		"one":            {addresses: []string{"https://hub.example.com:8443"}},
		"with a slash":   {addresses: []string{"https://hub.example.com:8443/"}},
		"several":        {addresses: []string{"https://hub.example.com", "https://a.edge.example.com:8443", "https://10.0.0.1:1"}},
		"not an address": {addresses: []string{"hub.example.com:8443"}, err: "must look like https://host:port"},
		"another host":   {addresses: []string{"https://hub.example.org"}, err: "add it to --hub-public-names"},
		"another IP":     {addresses: []string{"https://10.0.0.2"}, err: "add it to --hub-public-names"},
		"too deep":       {addresses: []string{"https://a.b.edge.example.com"}, err: "add it to --hub-public-names"},
		"too many":       {addresses: make([]string, 9), err: "at most 8"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			o := defaultOptions()
			o.replica, o.hub.publicNames, o.hub.addresses = "manager-0", names, test.addresses
			if test.err != "" {
				g.Expect(o.validate()).To(MatchError(ContainSubstring(test.err)))
			} else {
				g.Expect(o.validate()).To(Succeed())
				g.Expect(o.hub.addresses).NotTo(ContainElement(HaveSuffix("/")), "nodes keep them without it")
			}
		})
	}
}
