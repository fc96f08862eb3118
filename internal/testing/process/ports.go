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

package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
)

// Host is the address that programs listen on: nothing is served to other machines.
const Host = "127.0.0.1"

// Free ports are taken from below the range that the kernel gives to outgoing
// connections, which would otherwise steal a port while its program restarts.
const firstFreePort, freePorts = 20000, 10000

// Ports are TCP ports on Host, by the name of their use. They stay the same across
// runs, so addresses that were handed out stay valid.
type Ports struct {
	byName       map[string]int
	reservations []net.Listener
}

// ChoosePorts settles the ports that are wanted, each by its name. Where 0 is wanted
// it is the port of an earlier run as recorded in file, else a free one. It records
// them in file. Until Release, no other process that uses this function gets one of
// them as a free port.
func ChoosePorts(file string, wanted map[string]int) (*Ports, error) {
	p := &Ports{byName: map[string]int{}}
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &p.byName)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for name, port := range wanted {
		if err := p.choose(name, port); err != nil {
			return nil, errors.Join(err, p.Release())
		}
	}
	if data, err = json.Marshal(p.byName); err == nil {
		err = WriteFile(file, data)
	}
	if err != nil {
		return nil, errors.Join(err, p.Release())
	}
	return p, nil
}

func (p *Ports) choose(name string, wanted int) error {
	if wanted != 0 {
		p.byName[name] = wanted
	}
	if port := p.byName[name]; port != 0 {
		p.reserve(port)
		return nil
	}
	port, err := p.reserveFreePort()
	p.byName[name] = port
	return err
}

// Get returns the port that was chosen for name, or 0.
func (p *Ports) Get(name string) int { return p.byName[name] }

// Address returns the address, host:port, that was chosen for name.
func (p *Ports) Address(name string) string {
	return net.JoinHostPort(Host, strconv.Itoa(p.byName[name]))
}

// reserve keeps other processes that use this package from choosing port as a
// free one until Release. It fails when another has reserved it.
func (p *Ports) reserve(port int) bool {
	// An abstract socket is a lock that ends with its process.
	l, err := net.Listen("unix", fmt.Sprintf("@edgesync-port-%d", port))
	if err != nil {
		return false
	}
	p.reservations = append(p.reservations, l)
	return true
}

// reserveFreePort reserves a port that nobody listens on.
func (p *Ports) reserveFreePort() (int, error) {
	for _, offset := range rand.Perm(freePorts) {
		port := firstFreePort + offset
		if checkPort(port) == nil && p.reserve(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free TCP port from %d to %d on %s", firstFreePort, firstFreePort+freePorts-1, Host)
}

// Release lets others choose the ports.
func (p *Ports) Release() error {
	var errs []error
	for _, r := range p.reservations {
		errs = append(errs, r.Close())
	}
	p.reservations = nil
	return errors.Join(errs...)
}

// checkPort says why a program cannot listen on port.
func checkPort(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort(Host, strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}
