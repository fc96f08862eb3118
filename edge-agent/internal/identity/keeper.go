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
	"path/filepath"
	"sync"
	"sync/atomic"
)

// Keeper keeps the identity of a running agent: it reads and replaces the file, and
// seals and unseals its private key. Its methods may be called concurrently.
type Keeper struct {
	stateDir string
	seal     *SealKey
	mu       sync.Mutex // held while the file is read or replaced
	current  atomic.Pointer[Identity]
}

// Open reads the identity of a state directory. With a seal key, which may be nil, a
// private key that is not sealed is sealed now; without, a sealed one is ErrSealed.
func Open(stateDir string, seal *SealKey) (*Keeper, error) {
	k := &Keeper{stateDir: stateDir, seal: seal}
	loaded, err := k.Load()
	if err != nil {
		return nil, err
	}
	if seal == nil || loaded.sealed != nil {
		return k, nil
	}
	return k, k.Update(func(unsealed *Identity) (*Identity, error) {
		sealed := *unsealed
		return &sealed, nil
	})
}

// Load reads the file anew: `edge-agent join --force` may have replaced it.
func (k *Keeper) Load() (*Identity, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.load()
}

func (k *Keeper) load() (*Identity, error) {
	loaded, err := Load(k.stateDir)
	if err != nil {
		return nil, err
	}
	if loaded, err = loaded.unseal(k.seal); err != nil {
		return nil, err
	}
	k.current.Store(loaded)
	return loaded, nil
}

// Current is the identity as it was last read or written.
func (k *Keeper) Current() *Identity { return k.current.Load() }

// Update replaces the file, in one atomic step, by what change makes of the identity in
// it. It is left alone if change returns what it was given.
func (k *Keeper) Update(change func(*Identity) (*Identity, error)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	file, err := newReplacement(filepath.Join(k.stateDir, FileName))
	if err != nil {
		return err
	}
	defer file.discard()
	stored, err := k.load()
	if err != nil {
		return err
	}
	next, err := change(stored)
	if err != nil || next == stored {
		return err
	}
	data, err := next.encode(k.seal)
	if err != nil {
		return err
	}
	if err := file.commit(data); err != nil {
		return err
	}
	k.current.Store(next)
	return nil
}
