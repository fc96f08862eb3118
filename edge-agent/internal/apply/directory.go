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

package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/edgesync/edgesync/edge-agent/internal/store"
)

// DirectoryConfig configures a directory target.
type DirectoryConfig struct {
	// Path of the directory; it is made if it does not exist.
	Path string `json:"path"`
	// FileMode of the files, octal; "0600" by default, since there are Secrets among
	// the objects. Directories can be entered by whoever may read the files.
	FileMode string `json:"fileMode,omitempty"`
}

const defaultFileMode = 0o600

// Directory is a target with one YAML file for each object:
//
//	<namespace or _cluster>/<resource>[.<group>]/<name>.yaml
//
// A file is replaced as a whole and is durable when Apply returns. Until then its
// content is in a file of another name, which begins with a dot and does not end in
// .yaml. Files of others are left alone.
type Directory struct {
	name, path        string
	fileMode, dirMode fs.FileMode
	// layout is held for writing while empty directories are removed, and for reading
	// while a file is put into one.
	layout sync.RWMutex
}

// NewDirectory makes the directory if it does not exist.
func NewDirectory(name string, config DirectoryConfig) (*Directory, error) {
	if config.Path == "" {
		return nil, errors.New("directory.path must be set")
	}
	fileMode, err := parseFileMode(config.FileMode)
	if err != nil {
		return nil, err
	}
	d := &Directory{name: name, path: config.Path, fileMode: fileMode, dirMode: 0o700 | fileMode&0o044 | fileMode&0o044>>2}
	root, err := d.open()
	if err != nil {
		return nil, err
	}
	return d, root.Close()
}

func parseFileMode(octal string) (fs.FileMode, error) {
	if octal == "" {
		return defaultFileMode, nil
	}
	mode, err := strconv.ParseUint(octal, 8, 32)
	if err != nil || mode&^0o777 != 0 || mode&0o600 != 0o600 {
		return 0, fmt.Errorf("directory.fileMode %q must be an octal mode in quotes, such as \"0600\", with which the agent can read and write", octal)
	}
	return fs.FileMode(mode), nil
}

// Name is the name of the target.
func (d *Directory) Name() string { return d.name }

// Apply writes the file of the object, unless it is there with this content and mode.
func (d *Directory) Apply(_ context.Context, entry *store.Entry) (changed bool, err error) {
	file, err := fileOf(entry)
	if err != nil {
		return false, err
	}
	content, err := render(entry)
	if err != nil {
		return false, err
	}
	root, err := d.open()
	if err != nil {
		return false, err
	}
	defer root.Close()
	if d.holds(root, file, content) {
		return false, nil
	}
	if err := d.write(root, file, content); err != nil {
		return false, fmt.Errorf("write %s: %w", filepath.Join(d.path, file), err)
	}
	return true, nil
}

// Remove deletes the file of the object, and the directories that are empty without it.
func (d *Directory) Remove(_ context.Context, entry *store.Entry) error {
	file, err := fileOf(entry)
	if err != nil {
		// It has never been written.
		return nil
	}
	root, err := d.open()
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range []string{temporaryOf(file), file} {
		if err := removeFile(root, name); err != nil {
			return fmt.Errorf("remove %s: %w", filepath.Join(d.path, file), err)
		}
	}
	// Also when the file was gone: an earlier attempt may have ended right here.
	dir := path.Dir(file)
	if err := syncDir(root, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d.removeEmpty(root, dir)
	return nil
}

// open opens the directory for one operation, so that one that was moved away or
// mounted meanwhile is no matter. Through the root no name and no symbolic link leads
// out of it.
func (d *Directory) open() (*os.Root, error) {
	root, err := os.OpenRoot(d.path)
	if !errors.Is(err, fs.ErrNotExist) {
		return root, err
	}
	if err := os.MkdirAll(d.path, d.dirMode); err != nil {
		return nil, err
	}
	return os.OpenRoot(d.path)
}

// holds reports whether just this file is there already.
func (d *Directory) holds(root *os.Root, file string, content []byte) bool {
	info, err := root.Lstat(file)
	if err != nil || info.Mode() != d.fileMode || info.Size() != int64(len(content)) {
		return false
	}
	f, err := root.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	found := make([]byte, len(content))
	_, err = io.ReadFull(f, found)
	return err == nil && bytes.Equal(found, content)
}

// write leaves nothing of another name when it fails, if that can be helped: the next
// attempt uses the same name.
func (d *Directory) write(root *os.Root, file string, content []byte) error {
	temporary := temporaryOf(file)
	err := d.create(root, temporary, content)
	if err == nil {
		err = root.Rename(temporary, file)
	}
	if err != nil {
		_ = removeFile(root, temporary)
		return err
	}
	return syncDir(root, path.Dir(file))
}

// create makes a durable file. Once it exists, its directory is not empty and stays.
func (d *Directory) create(root *os.Root, file string, content []byte) error {
	f, err := d.openNew(root, file)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		// Whatever the umask is.
		err = f.Chmod(d.fileMode)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (d *Directory) openNew(root *os.Root, file string) (*os.File, error) {
	const flags = os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	d.layout.RLock()
	defer d.layout.RUnlock()
	f, err := root.OpenFile(file, flags, d.fileMode)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := d.makeDir(root, path.Dir(file)); err != nil {
		return nil, err
	}
	return root.OpenFile(file, flags, d.fileMode)
}

// makeDir makes the two levels of a directory, and their names durable.
func (d *Directory) makeDir(root *os.Root, dir string) error {
	for _, level := range []string{path.Dir(dir), dir} {
		err := root.Mkdir(level, d.dirMode)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := errors.Join(root.Chmod(level, d.dirMode), syncDir(root, path.Dir(level))); err != nil {
			return err
		}
	}
	return nil
}

// removeEmpty leaves a directory that is not empty. An empty one that comes back
// when the machine crashes does no harm: the disk is not waited for.
func (d *Directory) removeEmpty(root *os.Root, dir string) {
	d.layout.Lock()
	defer d.layout.Unlock()
	if root.Remove(dir) == nil {
		_ = root.Remove(path.Dir(dir))
	}
}

func removeFile(root *os.Root, file string) error {
	if err := root.Remove(file); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func syncDir(root *os.Root, dir string) error {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
