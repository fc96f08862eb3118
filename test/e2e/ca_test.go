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

package e2e

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"github.com/edgesync/edgesync/internal/pki"
	"github.com/edgesync/edgesync/internal/testing/fleet"
)

var _ = Describe("The hub", func() {
	BeforeEach(func() {
		DeferCleanup(func(ctx SpecContext) { restartManager(ctx) })
	})

	It("may change its CA while nodes are connected, or off, and none has to join again", func(ctx SpecContext) {
		// A certificate with a short life is renewed whenever the agent starts.
		restartManager(ctx, "--node-certificate-lifetime=1m")
		f := newFixture(ctx)
		online, off := f.start(ctx, "online"), f.start(ctx, "off")
		longOff, forgotten := f.start(ctx, "long-off"), f.start(ctx, "forgotten")
		settings := f.configMap("settings", "0")
		create(ctx, settings, f.sync("all", f.configMaps()))
		for _, n := range f.nodes {
			n.becomesMirrorOf(ctx, f.configMaps())
		}
		off.stop()
		longOff.stop()
		forgotten.stop()

		first := signer(ctx)
		for rotation := range 2 {
			former := signer(ctx)
			rotate(ctx, online)
			change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = strconv.Itoa(rotation + 1) })
			online.becomesMirrorOf(ctx, f.configMaps())
			off.start(ctx)
			off.becomesMirrorOf(ctx, f.configMaps())
			Eventually(off.trusts).Should(ContainElements(former, signer(ctx)))
			off.stop()
		}
		// The certificates of both nodes are from a later CA once they have been renewed.
		online.stop()
		online.start(ctx)
		longOff.start(ctx)
		for _, n := range []*node{online, longOff} {
			n.becomesInSync(ctx)
			n.becomesMirrorOf(ctx, f.configMaps())
			Eventually(n.trusts).Should(ContainElement(signer(ctx)))
			Eventually(n.issuedLast).WithContext(ctx).Should(Equal("Renewed"))
			edgeNode, err := n.get(ctx)
			Expect(err).NotTo(HaveOccurred())
			Expect(edgeNode.Status.Joins).To(BeEquivalentTo(1), "it has never joined again")
		}

		By("joining with the hash of the new CA, and with that of the first")
		Expect(newToken(ctx).CAHash).To(Equal(signer(ctx)))
		byHash := func(hash string) string {
			name := f.namespace + "-" + hash[len(hash)-8:]
			token := newToken(ctx, "--node="+name)
			token.CAHash = hash
			output := joinWith(ctx, token, name)
			if strings.Contains(output, "is now node") {
				removeNode(ctx, name)
			}
			return output
		}
		Expect(byHash(signer(ctx))).To(ContainSubstring("This machine is now node"))
		Expect(byHash(first)).To(ContainSubstring("This machine is now node"))

		By("no longer trusting the first")
		runManager(ctx, "ca", "untrust", first, "--yes")
		Expect(trusted(ctx)).NotTo(ContainElement(first))
		restartManager(ctx)
		change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = "last" })
		for _, n := range []*node{online, longOff} {
			n.becomesMirrorOf(ctx, f.configMaps())
			n.becomesInSync(ctx)
			Eventually(n.trusts).ShouldNot(ContainElement(first))
		}
		forgotten.start(ctx)
		Eventually(forgotten.statusText).WithContext(ctx).Should(ContainSubstring("if the CA was replaced while the machine was away, it has to join again"))
		Expect(byHash(first)).To(ContainSubstring(first))
		Expect(byHash(signer(ctx))).To(ContainSubstring("This machine is now node"))
	})

	It("may move: nodes that it told follow, and others are told by hand", func(ctx SpecContext) {
		former, latter := newProxy(), newProxy()
		newAddress := strings.Replace("https://"+latter.Addr(), "127.0.0.1", "localhost", 1)
		f := newFixture(ctx)
		joined := fleet.AgentOptions{HubURL: "https://" + former.Addr()}
		online, off := f.start(ctx, "online", joined), f.start(ctx, "off", joined)
		settings := f.configMap("settings", "old")
		create(ctx, settings, f.sync("all", f.configMaps()))
		for _, n := range f.nodes {
			n.becomesMirrorOf(ctx, f.configMaps())
		}
		off.stop()

		restartManager(ctx, "--hub-addresses="+newAddress)
		online.becomesInSync(ctx)
		Expect(former.Close()).To(Succeed())
		change(ctx, settings, func(c *corev1.ConfigMap) { c.Data["key"] = "new" })
		Eventually(online.Status).WithContext(ctx).Should(HaveField("Link", SatisfyAll(
			HaveField("Hub", newAddress), HaveField("Connected", BeTrue()))))
		online.becomesMirrorOf(ctx, f.configMaps())

		By("starting the other, which looks for the hub where it was")
		off.start(ctx)
		Eventually(off.statusText).WithContext(ctx).Should(SatisfyAll(
			ContainSubstring("not connected"), ContainSubstring("connection refused"), ContainSubstring(former.Addr())))
		off.stop()
		args := off.Args
		off.Args = append(args[:len(args):len(args)], "--hub="+newAddress)
		off.start(ctx)
		off.becomesInSync(ctx)
		off.becomesMirrorOf(ctx, f.configMaps())

		By("starting it as before: it knows now")
		off.stop()
		off.Args = args
		off.start(ctx)
		off.becomesInSync(ctx)
		Expect(off.Status(ctx)).To(HaveField("Link.Hub", newAddress))
	})
})

// shownCAs is the answer of manager ca show, as far as it is of use here.
type shownCAs struct {
	Signer  struct{ Hash string }
	Earlier []struct{ Hash string }
}

func showCAs(ctx SpecContext) (cas shownCAs) {
	GinkgoHelper()
	Expect(json.Unmarshal([]byte(runManager(ctx, "ca", "show", "--output=json")), &cas)).To(Succeed())
	return cas
}

// signer is the hash of the CA in use.
func signer(ctx SpecContext) string {
	GinkgoHelper()
	return showCAs(ctx).Signer.Hash
}

// trusted are the hashes of the CAs that the manager trusts.
func trusted(ctx SpecContext) []string {
	GinkgoHelper()
	cas := showCAs(ctx)
	hashes := []string{cas.Signer.Hash}
	for _, earlier := range cas.Earlier {
		hashes = append(hashes, earlier.Hash)
	}
	return hashes
}

// rotate makes a new CA, and returns when it is in use and a node that is connected trusts it.
func rotate(ctx SpecContext, told *node) {
	GinkgoHelper()
	before, began := signer(ctx), time.Now()
	runManager(ctx, "ca", "rotate")
	Eventually(signer).WithContext(ctx).ShouldNot(Equal(before))
	Eventually(told.trusts).Should(ContainElement(signer(ctx)))
	AddReportEntry("from ca rotate until a node that is connected trusts the new CA", time.Since(began).String())
}

// trusts are the hashes of the CA certificates in the identity of the agent.
func (n *node) trusts() ([]string, error) {
	rest, err := os.ReadFile(filepath.Join(n.StateDir(), "identity.pem"))
	var hashes []string
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil && certificate.IsCA {
			hashes = append(hashes, pki.HashOf(certificate))
		}
	}
	return hashes, err
}

// issuedLast is what the last certificate of the node was issued for.
func (n *node) issuedLast(ctx SpecContext) (string, error) {
	edgeNode, err := n.get(ctx)
	if err != nil || len(edgeNode.Status.Certificates) == 0 {
		return "", err
	}
	return edgeNode.Status.Certificates[0].Reason, nil
}
