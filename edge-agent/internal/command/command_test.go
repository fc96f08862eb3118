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
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"go.uber.org/goleak"

	"github.com/edgesync/edgesync/edge-agent/internal/agent"
	"github.com/edgesync/edgesync/internal/object"
	"github.com/edgesync/edgesync/internal/protocol/pb"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// machine is one state directory with one target directory.
type machine struct {
	t                 *testing.T
	stateDir, objects string
	stdin             string
}

func newMachine(t *testing.T) *machine {
	dir := t.TempDir()
	return &machine{t: t, stateDir: filepath.Join(dir, "state"), objects: filepath.Join(dir, "objects")}
}

// execute runs one command to its end.
func (m *machine) execute(ctx context.Context, log io.Writer, args ...string) (output string, err error) {
	var out bytes.Buffer
	cmd := New()
	cmd.SetOut(&out)
	cmd.SetErr(log)
	cmd.SetIn(strings.NewReader(m.stdin))
	cmd.SetArgs(append(args, "--state-dir", m.stateDir))
	err = cmd.ExecuteContext(ctx)
	return out.String(), err
}

func (m *machine) join(h *hub) {
	m.t.Helper()
	output, err := m.execute(m.t.Context(), io.Discard,
		"join", "--hub", h.address, "--token", someToken, "--ca-hash", h.ca.Hash(), "--node", "edge-1")
	if err != nil {
		m.t.Fatal(err)
	}
	NewWithT(m.t).Expect(output).To(ContainSubstring(`now node "edge-1" of ` + h.address))
}

// start runs the agent until stop is called, which returns what it logged.
func (m *machine) start(flags ...string) (stop func() string) {
	ctx, cancel := context.WithCancel(context.Background())
	var log bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		_, err := m.execute(ctx, &log, append([]string{"run", "--target", "directory=" + m.objects}, flags...)...)
		ended <- err
	}()
	stop = sync.OnceValue(func() string {
		cancel()
		if err := <-ended; err != nil {
			m.t.Errorf("run: %v", err)
		}
		return log.String()
	})
	m.t.Cleanup(func() { stop() })
	return stop
}

func (m *machine) status() (text string, status agent.Status, inSync bool) {
	m.t.Helper()
	g := NewWithT(m.t)
	text, err := m.execute(m.t.Context(), io.Discard, "status")
	if err != nil {
		g.Expect(err).To(MatchError(ErrNotInSync))
	}
	raw, jsonErr := m.execute(m.t.Context(), io.Discard, "status", "-o", "json")
	g.Expect(json.Unmarshal([]byte(raw), &status)).To(Succeed())
	g.Expect(status.InSync).To(Equal(jsonErr == nil))
	return text, status, err == nil
}

func (m *machine) file(name string) string {
	return filepath.Join(m.objects, "shop", "configmaps", name+".yaml")
}

func TestFromJoinToTheLastObject(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, m := newHub(t), newMachine(t)
	m.join(h)
	text, _, inSync := m.status()
	g.Expect(inSync).To(BeFalse())
	g.Expect(text).To(And(ContainSubstring("the agent does not run"), ContainSubstring("0 held")))

	stop := m.start()
	s, hello := h.greet()
	g.Expect(s.node).To(Equal("edge-1"))
	g.Expect(hello.GetInventoryCount()).To(BeZero())
	a, b := configMap(t, "a"), configMap(t, "b")
	s.send(put(1, a), put(2, b), bookmark())
	g.Expect(s.results(2)).To(HaveEach(HaveField("State", pb.ApplyState_APPLY_STATE_APPLIED)))
	g.Expect(os.ReadFile(m.file("a"))).To(ContainSubstring("color: green"))
	text, status, inSync := m.status()
	g.Expect(inSync).To(BeTrue(), text)
	g.Expect(text).To(And(ContainSubstring("connected for"), ContainSubstring("2 held: 2 applied"),
		MatchRegexp(`In sync: +yes`), ContainSubstring("valid until")))
	g.Expect(status.Node).To(Equal("edge-1"))

	_, err := m.execute(t.Context(), io.Discard, "run", "--target", "directory="+m.objects)
	g.Expect(err).To(MatchError(ContainSubstring("is another edge-agent running?")))
	log := stop()
	g.Expect(log).To(And(ContainSubstring("Connected"), ContainSubstring("Stopped")))

	text, status, inSync = m.status()
	g.Expect(inSync).To(BeFalse())
	g.Expect(text).To(And(ContainSubstring("the agent does not run"), ContainSubstring("2 held: 2 applied"),
		ContainSubstring("last sent everything")))
	g.Expect(status.Link.CompletedAt).To(BeTemporally("~", time.Now(), time.Minute))

	m.start()
	s, hello = h.greet()
	g.Expect(hello.GetClusterEpoch()).To(Equal("c"))
	g.Expect(hello.GetInventoryCount()).To(BeEquivalentTo(2))
	want := object.InventoryDigest([]object.Digest{holding(a).Fingerprint(a.Key), holding(b).Fingerprint(b.Key)})
	g.Expect(hello.GetInventoryDigest()).To(Equal(want[:]), "what is applied needs no inventory")
	s.send(remove(1, a), remove(2, b), bookmark())
	g.Expect(s.results(2)).To(HaveEach(HaveField("State", pb.ApplyState_APPLY_STATE_REMOVED)))
	g.Expect(m.file("a")).NotTo(BeAnExistingFile())
}

func holding(o *object.Object) object.Holding {
	return object.Holding{UID: o.UID, Version: o.Version, Digest: o.Digest}
}

func TestStatusNamesWhatFails(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, m := newHub(t), newMachine(t)
	m.join(h)
	m.start()
	s, _ := h.greet()
	good, bad := configMap(t, "good"), configMap(t, strings.Repeat("b", 253)) // too long for a file
	s.send(put(1, good), put(2, bad), bookmark())
	results := s.results(2)
	g.Expect(results[bad.Name].GetState()).To(Equal(pb.ApplyState_APPLY_STATE_FAILED))

	text, status, inSync := m.status()

	g.Expect(inSync).To(BeFalse())
	g.Expect(text).To(ContainSubstring("no: 1 not as they should be"))
	g.Expect(text).To(ContainSubstring("1 failed"))
	g.Expect(status.Problems).To(HaveExactElements(And(
		HaveField("Object", bad.Key.String()), HaveField("State", "Failed"),
		HaveField("Message", results[bad.Name].GetMessage()))))
}

func TestStatusSaysWhyThereIsNoConnection(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	h, m := newHub(t), newMachine(t)
	m.join(h)
	m.start()
	s, _ := h.greet()
	h.listener.Close()
	s.conn.Close()
	g.Eventually(func() string {
		text, _, _ := m.status()
		return text
	}, patience).Should(MatchRegexp("not connected: .*; next attempt in"))
}

func TestMistakesAreExplained(t *testing.T) {
	t.Parallel()
	joined := newMachine(t)
	joined.join(newHub(t))
	fresh := newMachine(t)
	file := filepath.Join(t.TempDir(), "config.yaml")
	NewWithT(t).Expect(os.WriteFile(file, []byte("targets: []\nmaxObjectByte: 1\n"), 0o600)).To(Succeed())
	directory := "directory=" + joined.objects
	for name, test := range map[string]struct {
		machine *machine
		args    []string
		want    string
	}{
		"not joined":          {fresh, []string{"run", "--target", directory}, "run `edge-agent join` first"},
		"status, not joined":  {fresh, []string{"status"}, "run `edge-agent join` first"},
		"no target":           {joined, []string{"run"}, "no target is configured"},
		"an unknown target":   {joined, []string{"run", "--target", "podman=/x"}, `no targets of type "podman"`},
		"half a target":       {joined, []string{"run", "--target", "directory"}, "not of the form directory=/path"},
		"an unknown format":   {joined, []string{"run", "--target", directory, "--log-format", "xml"}, "must be text or json"},
		"too large a maximum": {joined, []string{"run", "--target", directory, "--max-object-bytes", "99999999"}, "must be between 1 and"},
		"too short a drift":   {joined, []string{"run", "--target", directory, "--drift-interval", "1ms"}, "at least 1s"},
		"no such file":        {joined, []string{"run", "--config", "/nowhere.yaml"}, "/nowhere.yaml"},
		"an unknown field":    {joined, []string{"run", "--config", file}, "maxObjectByte"},
		"a bad label":         {joined, []string{"run", "--target", directory, "--label", "a/b=c"}, "has none of its own"},
		"a bad hub":           {joined, []string{"run", "--target", directory, "--hub", "hub"}, "must look like https://host:port"},
		"no seal key":         {joined, []string{"run", "--target", directory, "--seal-key-file", "/nowhere"}, "open the seal key"},
		"no token":            {fresh, []string{"join", "--hub", "https://h", "--ca-hash", "h"}, "give a file with --token-file, or set $EDGESYNC_JOIN_TOKEN"},
		"no token file":       {fresh, []string{"join", "--hub", "https://h", "--ca-hash", "h", "--token-file", "/nowhere"}, "/nowhere"},
		"an empty token file": {fresh, []string{"join", "--hub", "https://h", "--ca-hash", "h", "--token-file", "-"}, "form <id>.<secret>"},
		"two tokens":          {fresh, []string{"join", "--hub", "https://h", "--ca-hash", "h", "--token-file", "-", "--token", "t"}, "none of the others can be"},
		"an unknown output":   {joined, []string{"status", "-o", "xml"}, `no output format "xml"`},
		"join without a hub":  {fresh, []string{"join", "--token", "t"}, `"ca-hash", "hub" not set`},
		"a second join": {joined, []string{"join", "--hub", "https://127.0.0.1:1", "--token", someToken, "--node", "edge-1",
			"--ca-hash", "sha256:" + strings.Repeat("0", 64)}, "joined already"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := test.machine.execute(t.Context(), io.Discard, test.args...)
			NewWithT(t).Expect(err).To(MatchError(ContainSubstring(test.want)))
		})
	}
}

func TestALongStateDirectoryIsExplained(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.stateDir = filepath.Join(m.stateDir, strings.Repeat("x", 100))
	m.join(newHub(t))
	_, err := m.execute(t.Context(), io.Discard, "run", "--target", "directory="+m.objects)
	NewWithT(t).Expect(err).To(MatchError(ContainSubstring("too long for a unix socket")))
}

func TestStateDirDefault(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	g.Expect(stateDirDefault("")).To(Equal(defaultStateDir))
	g.Expect(stateDirDefault("/a")).To(Equal("/a"))
	g.Expect(stateDirDefault("/a:/b")).To(Equal("/a"))
}
