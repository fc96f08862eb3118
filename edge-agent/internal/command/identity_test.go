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
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/edge-agent/internal/identity"
	"github.com/edgesync/edgesync/internal/enroll/joinapi"
	"github.com/edgesync/edgesync/internal/protocol"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestTheSessionMovesOverToTheRenewedCertificate(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, m := newHub(t), newMachine(t)
	h.lifetime = time.Minute // so that it is due at once: certificates are dated back
	asked, allowed := make(chan struct{}), make(chan struct{})
	h.setRenew(func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-allowed
		h.renewing(w, r)
	})
	m.join(h)
	stop := m.start()
	first, _ := h.greet()
	a := configMap(t, "a")
	first.send(put(1, a), bookmark())
	first.results(1)
	<-asked
	text, _, _ := m.status()
	g.Expect(text).To(MatchRegexp(`Renewal: +under way`))
	close(allowed)

	second, hello := h.greet()

	g.Expect(second.node).To(Equal(first.node))
	g.Expect(second.serial).NotTo(Equal(first.serial))
	g.Expect(hello.GetInventoryCount()).To(BeEquivalentTo(1))
	second.send(put(1, configMap(t, "b")), bookmark())
	g.Expect(second.results(1)).To(HaveKeyWithValue("b", HaveField("State", pb.ApplyState_APPLY_STATE_APPLIED)))
	text, status, inSync := m.status()
	g.Expect(inSync).To(BeTrue(), text)
	g.Expect(text).To(MatchRegexp(`Renewal: +at 20.*, in `))
	g.Expect(status.CertificateExpires).To(BeTemporally("~", time.Now().Add(time.Hour), time.Minute))
	g.Expect(stop()).To(ContainSubstring("Renewed the certificate"))
}

func TestAwayForTooLong(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, m := newHub(t), newMachine(t)
	h.lifetime = 3 * time.Second
	m.join(h)
	const advice = "the grace period is over: run manager token create --rejoin"
	h.setRenew(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_ = json.NewEncoder(w).Encode(joinapi.Error{Error: advice})
	})
	joined, err := identity.Load(m.stateDir)
	g.Expect(err).NotTo(HaveOccurred())
	g.Eventually(time.Now, patience).Should(BeTemporally(">", joined.NotAfter()))
	text, _, _ := m.status()
	g.Expect(text).To(MatchRegexp(`Certificate: +expired .* ago\nRenewal: +the agent does it, once it runs`))

	stop := m.start()
	g.Eventually(func() string {
		text, _ := m.execute(t.Context(), io.Discard, "status") // an error as long as it starts
		return text
	}, patience).Should(And(
		MatchRegexp(`Renewal: +failed: the hub refuses: `+advice+`.*; next attempt in `),
		MatchRegexp(`Connection: +not connected: .*the certificate expired at`)))
	_, status, _ := m.status()
	g.Expect(status.Renewal.Refused).To(BeTrue())
	g.Expect(stop()).To(ContainSubstring(advice))
	g.Expect(h.sessions).To(BeEmpty(), "it has not come with a certificate that has expired")

	h.setRenew(h.renewing)
	m.start()
	var s *session
	g.Eventually(h.sessions, patience).Should(Receive(&s))
	defer s.conn.Close()
	g.Expect(s.node).To(Equal("edge-1"))
}

func TestTheHubSaysWhereItIs(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	old, m := newHub(t), newMachine(t)
	moved := newHubOf(t, old.ca)
	info := &pb.HubInfo{Addresses: []string{moved.address}, Authorities: [][]byte{old.ca.Certificate().Raw}}
	m.join(old)

	stop := m.start()
	s, _ := old.greet()
	s.send(&pb.HubMessage{Body: &pb.HubMessage_HubInfo{HubInfo: info}}, put(1, configMap(t, "a")), bookmark())
	s.results(1)
	stop()
	text, _, _ := m.status()
	g.Expect(text).To(MatchRegexp(`Hub: +` + moved.address))

	stop = m.start()
	_, hello := moved.greet()
	digest := protocol.HubInfoDigest(info)
	g.Expect(hello.GetHubInfoDigest()).To(Equal(digest[:]))
	stop()

	m.start("--hub", old.address+"/")
	s, _ = old.greet()
	g.Expect(s.node).To(Equal("edge-1"))
}

func TestAnAddressThatIsWrongStrandsNobody(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, gone, m := newHub(t), newHub(t), newMachine(t)
	g.Expect(gone.listener.Close()).To(Succeed())
	m.join(h)
	stop := m.start()
	s, _ := h.greet()
	s.send(&pb.HubMessage{Body: &pb.HubMessage_HubInfo{HubInfo: &pb.HubInfo{
		Addresses: []string{gone.address}, Authorities: [][]byte{h.ca.Certificate().Raw},
	}}}, put(1, configMap(t, "a")), bookmark())
	s.results(1)
	stop()

	m.start()
	s, _ = h.greet()
	g.Expect(s.node).To(Equal("edge-1"))
}

func TestALyingHubIsNotBelieved(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, evil, m := newHub(t), newHub(t), newMachine(t)
	m.join(h)
	m.start()
	s, _ := h.greet()
	s.send(&pb.HubMessage{Body: &pb.HubMessage_HubInfo{HubInfo: &pb.HubInfo{
		Addresses: []string{evil.address}, Authorities: [][]byte{evil.ca.Certificate().Raw},
	}}}, put(1, configMap(t, "a")), bookmark())
	s.results(1)
	text, _, _ := m.status()
	g.Expect(text).To(MatchRegexp(`Hub: +` + h.address + `\nAnnounced: +keep what the hub announces of itself: it cannot be used: .*none to trust`))
}

func TestLabels(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, m := newHub(t), newMachine(t)
	m.join(h)
	m.start("--label", "site=berlin", "--label", "arch=own")
	_, hello := h.greet()
	g.Expect(hello.GetLabels()).To(Equal(map[string]string{"os": runtime.GOOS, "arch": "own", "site": "berlin"}))
}

func TestASealedIdentity(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, m := newHub(t), newMachine(t)
	m.join(h)
	seal := filepath.Join(t.TempDir(), "seal-key")
	g.Expect(os.WriteFile(seal, []byte(strings.Repeat("s", 32)), 0o600)).To(Succeed())
	file := func() string {
		data, err := os.ReadFile(filepath.Join(m.stateDir, identity.FileName))
		g.Expect(err).NotTo(HaveOccurred())
		return string(data)
	}
	g.Expect(file()).To(ContainSubstring("BEGIN PRIVATE KEY"))

	stop := m.start("--seal-key-file", seal)
	s, _ := h.greet()
	g.Expect(s.node).To(Equal("edge-1"))
	stop()

	g.Expect(file()).To(And(ContainSubstring("BEGIN EDGESYNC SEALED KEY"), Not(ContainSubstring("BEGIN PRIVATE KEY"))))
	text, _, _ := m.status()
	g.Expect(text).To(And(ContainSubstring("edge-1"), ContainSubstring("valid until")), "it needs no key")
	_, err := m.execute(t.Context(), io.Discard, "run", "--target", "directory="+m.objects)
	g.Expect(err).To(MatchError(And(ContainSubstring("is sealed"), ContainSubstring("--seal-key-file"))))
	m.start("--seal-key-file", seal)
	h.greet()
}

func TestTheSystemdCredentialSeals(t *testing.T) {
	// Not parallel: it sets the environment.
	g := NewWithT(t)
	h, m, credentials := newHub(t), newMachine(t), t.TempDir()
	g.Expect(os.WriteFile(filepath.Join(credentials, "edgesync-seal-key"), []byte(strings.Repeat("s", 32)), 0o440)).To(Succeed())
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	m.join(h)
	g.Expect(identity.Load(m.stateDir)).To(HaveField("Sealed()", BeTrue()))
	stop := m.start()
	s, _ := h.greet()
	g.Expect(s.node).To(Equal("edge-1"))
	stop()

	t.Setenv("CREDENTIALS_DIRECTORY", "")
	_, err := m.execute(t.Context(), io.Discard, "run", "--target", "directory="+m.objects)
	g.Expect(err).To(MatchError(identity.ErrSealed))
}

func TestALooseStateDirectoryIsRefused(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, m := newHub(t), newMachine(t)
	m.join(h)
	stop := m.start()
	h.greet()
	stop()
	for name, mode := range map[string]fs.FileMode{".": 0o755, "identity.pem": 0o640, "store.db": 0o644} {
		path := filepath.Join(m.stateDir, name)
		g.Expect(os.Chmod(path, mode)).To(Succeed())
		_, err := m.execute(t.Context(), io.Discard, "run", "--target", "directory="+m.objects)
		g.Expect(err).To(MatchError(MatchRegexp("run `chmod 0[67]00 " + path + "`")))
		g.Expect(os.Chmod(path, mode&0o700)).To(Succeed())
	}
	// The agent makes a new socket at every start; nobody can be refused for an old one.
	socket := filepath.Join(m.stateDir, "agent.sock")
	g.Expect(os.WriteFile(socket, nil, 0o600)).To(Succeed())
	g.Expect(os.Chmod(socket, 0o666)).To(Succeed())
	m.start()
	h.greet()
	for _, name := range []string{"identity.pem", "store.db", "agent.sock"} {
		info, err := os.Stat(filepath.Join(m.stateDir, name))
		g.Expect(err).NotTo(HaveOccurred())
		g.Expect(info.Mode().Perm()).To(Equal(fs.FileMode(0o600)), name)
	}
}

func TestTheTokenNeedNotBeSeen(t *testing.T) {
	// Not parallel: it sets the environment.
	h := newHub(t)
	file := filepath.Join(t.TempDir(), "token")
	NewWithT(t).Expect(os.WriteFile(file, []byte(someToken+"\n"), 0o600)).To(Succeed())
	for name, test := range map[string]struct {
		env, stdin string
		flags      []string
	}{
		"from a file":           {"", "", []string{"--token-file", file}},
		"from standard input":   {"", someToken + "\n", []string{"--token-file", "-"}},
		"from the environment":  {someToken, "", nil},
		"a flag comes before":   {"nonsense", "", []string{"--token", someToken}},
		"a file comes before":   {"nonsense", "", []string{"--token-file", file}},
		"with a key to seal by": {someToken, "", []string{"--seal-key-file", file}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(tokenVariable, test.env)
			m := newMachine(t)
			m.stdin = test.stdin
			_, err := m.execute(t.Context(), io.Discard,
				append([]string{"join", "--hub", h.address, "--ca-hash", h.ca.Hash(), "--node", "edge-1"}, test.flags...)...)
			NewWithT(t).Expect(err).NotTo(HaveOccurred())
		})
	}
}
