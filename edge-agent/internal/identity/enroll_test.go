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

package identity_test

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
	"github.com/edgesync/edgesync/internal/enroll"
	"github.com/edgesync/edgesync/internal/enroll/enrolltest"
	"github.com/edgesync/edgesync/internal/pki"
)

func TestJoinAgainstTheRealHandler(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	hub := enrolltest.NewHub(t)
	token := func(ttl time.Duration) string {
		return hub.Token(enroll.Token{Uses: 1, Expires: time.Now().Add(ttl), Labels: map[string]string{"region": "eu"}})
	}
	join := func(token, node string) (*identity.Identity, error) {
		options := identity.Options{
			Hub: hub.URL, Token: token, CAHash: hub.CA.Hash(), Node: node,
			StateDir: filepath.Join(t.TempDir(), "state"),
		}
		if err := identity.Join(t.Context(), options); err != nil {
			return nil, err
		}
		return identity.Load(options.StateDir)
	}
	once := token(time.Hour)

	joined, err := join(once, "edge-1")

	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(joined.Node()).To(Equal("edge-1"))
	g.Expect(joined.NotAfter()).To(BeTemporally("~", time.Now().Add(pki.NodeLifetime), time.Minute))
	g.Expect(hub.NodeLabels("edge-1")).To(HaveKeyWithValue("region", "eu"))

	for name, refused := range map[string]struct{ token, node, text string }{
		"used":    {once, "edge-2", "the hub refused the token"},
		"expired": {token(-time.Second), "edge-2", "manager token create"},
		"taken":   {token(time.Hour), "edge-1", "EdgeNode edge-1 exists already"},
	} {
		_, err := join(refused.token, refused.node)
		g.Expect(err).To(MatchError(ContainSubstring(refused.text)), name)
	}
}

func TestRenewAgainstTheRealHandler(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	hub := enrolltest.NewHub(t)
	options := identity.Options{
		Hub: hub.URL, CAHash: hub.CA.Hash(), Node: "edge-1", StateDir: filepath.Join(t.TempDir(), "state"),
		Token: hub.Token(enroll.Token{Uses: 1, Expires: time.Now().Add(time.Hour)}),
	}
	g.Expect(identity.Join(t.Context(), options)).To(Succeed())
	keeper, err := identity.Open(options.StateDir, nil)
	g.Expect(err).NotTo(HaveOccurred())
	joined := keeper.Current()
	renew := func(present *identity.Identity) (*identity.Identity, error) {
		return identity.Renew(t.Context(), present, present.Hubs(), time.Now)
	}

	renewed, err := renew(joined)
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(renewed.Node()).To(Equal("edge-1"))
	g.Expect(renewed.SameCertificate(joined)).To(BeFalse())
	g.Expect(keeper.Replace(joined, renewed)).To(Succeed())
	_, err = renew(keeper.Current())
	g.Expect(err).NotTo(HaveOccurred(), "one renewal follows another")
	_, err = renew(joined)
	g.Expect(err).NotTo(HaveOccurred(), "after a crash the old one is as good")

	options.StateDir, options.Token = filepath.Join(t.TempDir(), "other"), hub.Token(enroll.Token{
		Uses: 1, Expires: time.Now().Add(time.Hour), Node: "edge-1", Rejoin: true,
	})
	g.Expect(identity.Join(t.Context(), options)).To(Succeed())
	_, err = renew(renewed)
	var answered *identity.HubError
	g.Expect(errors.As(err, &answered) && answered.Refused()).To(BeTrue(), "%v", err)
	g.Expect(answered.Message).To(ContainSubstring("join"), "what to do")
}
