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

package identity

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

func TestCheckStateDir(t *testing.T) {
	t.Parallel()
	me := os.Geteuid()
	for name, test := range map[string]struct {
		loose string // the path that is loose, in the state directory
		mode  fs.FileMode
		user  int
		err   string
	}{
		"private":               {"", 0o700, me, ""},
		"read only":             {"store.db", 0o400, me, ""},
		"directory for group":   {"", 0o710, me, "chmod 0700"},
		"directory for others":  {"", 0o701, me, "chmod 0700"},
		"identity for group":    {FileName, 0o640, me, "chmod 0600"},
		"store for group":       {"store.db", 0o620, me, "chmod 0600"},
		"store for others":      {"store.db", 0o604, me, "chmod 0600"},
		"a left temporary file": {FileName + temporarySuffix, 0o644, me, "chmod 0600"},
		"of no concern":         {"notes.txt", 0o644, me, ""},
		"of another user":       {"", 0o700, me + 1, "belongs to the user with the id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := NewWithT(t)
			dir := t.TempDir()
			g.Expect(os.Chmod(dir, privateDir)).To(Succeed())
			for _, file := range []string{FileName, FileName + temporarySuffix, "store.db", "notes.txt"} {
				g.Expect(os.WriteFile(filepath.Join(dir, file), nil, privateFile)).To(Succeed())
			}
			g.Expect(os.Chmod(filepath.Join(dir, test.loose), test.mode)).To(Succeed())

			err := checkStateDir(dir, test.user, "store.db", "not-there.db")

			if test.err == "" {
				g.Expect(err).NotTo(HaveOccurred())
			} else {
				g.Expect(err).To(MatchError(And(ContainSubstring(test.err), ContainSubstring(filepath.Join(dir, test.loose)))))
			}
		})
	}
}

func TestAFileOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	dir := t.TempDir()
	g.Expect(os.Chmod(dir, privateDir)).To(Succeed())
	path := filepath.Join(dir, "store.db")
	g.Expect(os.WriteFile(path, nil, privateFile)).To(Succeed())
	if err := os.Chown(path, 65534, -1); err != nil {
		t.Skipf("only root can give a file away: %v", err)
	}
	g.Expect(CheckStateDir(dir, "store.db")).To(MatchError(And(
		ContainSubstring("belongs to the user with the id 65534"), ContainSubstring("chown -R"))))
}
