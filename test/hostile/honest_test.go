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

package hostile

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// updatePeriod is how often the object of the honest node changes.
const updatePeriod = 20 * time.Millisecond

// honest is a node that does nothing wrong: a real agent, whose ConfigMap changes all
// the time.
type honest struct {
	*fleet.Agent
	*ledger
	namespace string
	client    client.Client
}

const (
	honestName = "honest"
	// counter is the name of the ConfigMap, and of the key in it.
	counter = "counter"
)

// startHonest starts the node and the updates, which end before the test does.
func startHonest(t *testing.T, f *fleet.Fleet, c client.Client) *honest {
	g := NewWithT(t)
	h := &honest{ledger: newLedger(), namespace: honestName, client: c}
	makeSync(t, c, h.namespace)
	g.Expect(c.Create(t.Context(), h.configMap())).To(Succeed())
	var err error
	h.Agent, err = f.NewAgent(t.Context(), honestName, fleet.AgentOptions{Labels: map[string]string{syncLabel: h.namespace}})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(h.Start(t.Context())).To(Succeed())
	g.Eventually(h.path).WithTimeout(patience).Should(BeAnExistingFile())

	files, err := watchRenames(filepath.Dir(h.path()))
	g.Expect(err).NotTo(HaveOccurred())
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- h.update(ctx) }()
	go func() { ended <- h.follow(files) }()
	t.Cleanup(func() {
		cancel()
		g.Expect(<-ended).To(Succeed(), "the updates of the honest node")
		_ = files.Close()
		g.Expect(<-ended).To(MatchError(os.ErrClosed))
	})
	return h
}

func (h *honest) path() string {
	return filepath.Join(h.ObjectsDir(), h.namespace, "configmaps", counter+".yaml")
}

func (h *honest) configMap() *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: h.namespace, Name: counter, Labels: map[string]string{syncLabel: h.namespace}}}
}

// update changes the ConfigMap again and again, whether the changes arrive or not.
func (h *honest) update(ctx context.Context) error {
	ticker := time.NewTicker(updatePeriod)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		patch := fmt.Sprintf(`{"data":{%q:"%d"}}`, counter, n)
		err := h.client.Patch(ctx, h.configMap(), client.RawPatch("application/merge-patch+json", []byte(patch)))
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		h.accept(time.Now())
	}
}

var counterLine = regexp.MustCompile(counter + `: "(\d+)"`)

// follow notes which updates are in the file whenever it is replaced.
func (h *honest) follow(files *renames) error {
	for {
		at, err := files.next(filepath.Base(h.path()))
		if err != nil {
			return err
		}
		content, err := os.ReadFile(h.path())
		if err != nil {
			return err
		}
		if match := counterLine.FindSubmatch(content); match != nil {
			n, err := strconv.Atoi(string(match[1]))
			if err != nil {
				return err
			}
			h.arrive(n, at)
		}
	}
}

// renames tells of the files in a directory that get their names by a rename.
type renames struct {
	*os.File
	buffer [64 << 10]byte
	rest   []byte
	at     time.Time
}

func watchRenames(dir string) (*renames, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("inotify: %w", err)
	}
	r := &renames{File: os.NewFile(uintptr(fd), "inotify")}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO); err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	return r, nil
}

// next waits until a file gets that name. Its time is when the kernel told of it.
func (r *renames) next(name string) (time.Time, error) {
	for {
		if len(r.rest) == 0 {
			n, err := r.Read(r.buffer[:])
			if err != nil {
				return time.Time{}, err
			}
			r.rest, r.at = r.buffer[:n], time.Now()
		}
		// struct inotify_event: wd, mask, cookie, len, name padded with zeros.
		end := unix.SizeofInotifyEvent + int(binary.NativeEndian.Uint32(r.rest[12:]))
		found := strings.TrimRight(string(r.rest[unix.SizeofInotifyEvent:end]), "\x00")
		r.rest = r.rest[end:]
		if found == name {
			return r.at, nil
		}
	}
}
