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

package store

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
)

// A test that needs a process of its own runs this binary again with one of these
// in its environment.
const (
	crashingWriterEnv = "EDGESYNC_TEST_CRASHING_WRITER"
	limitedWriterEnv  = "EDGESYNC_TEST_LIMITED_WRITER"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(crashingWriterEnv) != "":
		writeUntilKilled(os.Getenv(crashingWriterEnv))
	case os.Getenv(limitedWriterEnv) != "":
		writeBeyondLimit(os.Getenv(limitedWriterEnv))
	default:
		os.Exit(m.Run())
	}
}

const crashKeys = 40

func crashRecord(key, round int) Record {
	return configMap(fmt.Sprintf("x%d", key), "uid", strconv.Itoa(round+1), strings.Repeat(fmt.Sprintf("%d;", round), 200))
}

// writeUntilKilled prints each round that Commit has acknowledged. A round writes a
// few keys in one batch, its number in each of them.
func writeUntilKilled(path string) {
	s, err := Open(path, Options{})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	for round := 0; ; round++ {
		var ops []Op
		for i := range 5 {
			ops = append(ops, withForce(put(crashRecord((round+i*7)%crashKeys, round))))
		}
		if _, err := s.Commit(ops); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(round)
	}
}

func TestWhatWasAcknowledgedSurvivesAKill(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for seed := range uint64(20) {
		path := filepath.Join(t.TempDir(), "store.db")
		acknowledged := killWriterAfter(t, path, rand.New(rand.NewPCG(seed, 1)).IntN(60))
		s, err := Open(path, Options{})
		g.Expect(err).NotTo(HaveOccurred())
		checkRounds(t, s, acknowledged)
		g.Expect(s.Close()).To(Succeed())
	}
}

// killWriterAfter kills a writer after it has acknowledged a number of rounds, in the
// middle of a later one, and returns the last round of which it printed the end.
func killWriterAfter(t *testing.T, path string, rounds int) int {
	t.Helper()
	writer := exec.Command(os.Args[0])
	writer.Env = append(os.Environ(), crashingWriterEnv+"="+path)
	stdout, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatalf("the writer says %q", lines.Text())
		}
		if last == rounds {
			_ = writer.Process.Kill()
		}
	}
	_ = writer.Wait()
	if last < rounds {
		t.Fatalf("the writer ended by itself after %d rounds", last)
	}
	return last
}

// checkRounds: every key has the last acknowledged round that wrote it, or the one
// that was under way, and that one is there as a whole or not at all.
func checkRounds(t *testing.T, s *Store, acknowledged int) {
	t.Helper()
	want := make(map[int]int)
	for round := range acknowledged + 1 {
		for i := range 5 {
			want[(round+i*7)%crashKeys] = round
		}
	}
	unacknowledged := 0
	for key := range crashKeys {
		entry, exists := get(t, s, crashRecord(key, 0).Key)
		round, written := want[key]
		if !exists && !written {
			continue
		}
		if got, _ := strconv.Atoi(entry.Version); got-1 > round || !written {
			unacknowledged++
			round = got - 1
		}
		if expected := crashRecord(key, round); entry.Version != expected.Version || string(entry.Payload) != string(expected.Payload) {
			t.Errorf("x%d: version %s, but round %d was acknowledged", key, entry.Version, round)
		}
	}
	if unacknowledged%5 != 0 {
		t.Errorf("%d keys of a batch of 5 were written", unacknowledged)
	}
}

// fillUp commits ever more records until one is refused, and returns how many were stored.
func fillUp(s *Store) (stored int, err error) {
	for ; stored < 10_000; stored++ {
		record := configMap(fmt.Sprintf("x%d", stored), "uid", "1", strings.Repeat("x", 4000))
		if _, err := s.Commit([]Op{put(record)}); err != nil {
			return stored, err
		}
	}
	return stored, errors.New("the store never became full")
}

// checkFullStore fills a store and checks that nothing is lost, and that it goes on
// once makeRoom has been called.
func checkFullStore(path string, makeRoom func() error) error {
	s, err := Open(path, Options{})
	if err != nil {
		return err
	}
	stored, err := fillUp(s)
	if !errors.Is(err, ErrNoSpace) || stored == 0 {
		return fmt.Errorf("after %d records: %w", stored, err)
	}
	if err := errors.Join(checkStored(s, stored), makeRoom()); err != nil {
		return err
	}
	if _, err := s.Commit([]Op{put(configMap(fmt.Sprintf("x%d", stored), "uid", "1", "there is room again"))}); err != nil {
		return err
	}
	if err := s.Close(); err != nil {
		return err
	}
	if s, err = Open(path, Options{}); err != nil {
		return err
	}
	return errors.Join(checkStored(s, stored+1), s.Close())
}

func checkStored(s *Store, stored int) error {
	for i := range stored {
		if _, exists, err := s.Get(configMap(fmt.Sprintf("x%d", i), "", "", "").Key); err != nil || !exists {
			return fmt.Errorf("x%d of %d is gone: %w", i, stored, err)
		}
	}
	return nil
}

func TestAFullDisk(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("skipped: mounting a small tmpfs needs root; TestAFileThatCannotGrow covers a failing write")
	}
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("skipped: a small tmpfs cannot be mounted here: %v", err)
	}
	defer func() { g.Expect(syscall.Unmount(dir, 0)).To(Succeed()) }()
	makeRoom := func() error { return syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=2m") }
	g.Expect(checkFullStore(filepath.Join(dir, "store.db"), makeRoom)).To(Succeed())
}

// A limit of the file's size fails the commits that need more, as a full disk does.
func TestAFileThatCannotGrow(t *testing.T) {
	t.Parallel()
	writer := exec.Command(os.Args[0])
	writer.Env = append(os.Environ(), limitedWriterEnv+"="+filepath.Join(t.TempDir(), "store.db"))
	if output, err := writer.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

func writeBeyondLimit(path string) {
	signal.Ignore(syscall.SIGXFSZ)
	setLimit := func(bytes uint64) error {
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: bytes, Max: 1 << 30})
	}
	makeRoom := func() error { return setLimit(1 << 30) }
	if err := errors.Join(setLimit(700<<10), checkFullStore(path, makeRoom)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestCloseLetsAnotherProcessOpen(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := Open(path, Options{})
	g.Expect(err).NotTo(HaveOccurred())
	closed := make(chan error, 1)
	time.AfterFunc(lockWait/10, func() { closed <- s.Close() })
	next, err := Open(path, Options{})
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(next.Close()).To(Succeed())
	g.Expect(<-closed).To(Succeed())
}
