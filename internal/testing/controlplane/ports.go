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

package controlplane

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

// Free ports are taken from below the range that the kernel gives to outgoing
// connections, which would otherwise steal a port while its program restarts.
const firstFreePort, freePorts = 20000, 10000

// ports are the TCP ports of a control plane. They stay the same across runs,
// so kubeconfigs that were handed out stay valid.
type ports struct {
	APIServer         int `json:"apiServer"`
	Etcd              int `json:"etcd"`
	ControllerManager int `json:"controllerManager"`

	reservations []net.Listener
}

// choosePorts settles the ports that are wanted, else those of an earlier run as
// recorded in file, else free ones, and records them.
func choosePorts(file string, apiServer, etcd int) (*ports, error) {
	p := &ports{}
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, p)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, port := range []struct {
		chosen *int
		wanted int
	}{{&p.APIServer, apiServer}, {&p.Etcd, etcd}, {&p.ControllerManager, 0}} {
		if port.wanted != 0 {
			*port.chosen = port.wanted
		}
		if *port.chosen != 0 {
			p.reserve(*port.chosen)
		} else if *port.chosen, err = p.reserveFreePort(); err != nil {
			return nil, errors.Join(err, p.release())
		}
	}
	if data, err = json.Marshal(p); err == nil {
		err = writeFile(file, data)
	}
	if err != nil {
		return nil, errors.Join(err, p.release())
	}
	return p, nil
}

// reserve keeps other processes that use this package from choosing port as a
// free one until release. It fails when another has reserved it.
func (p *ports) reserve(port int) bool {
	// An abstract socket is a lock that ends with its process.
	l, err := net.Listen("unix", fmt.Sprintf("@edgesync-controlplane-port-%d", port))
	if err != nil {
		return false
	}
	p.reservations = append(p.reservations, l)
	return true
}

// reserveFreePort reserves a port that nobody listens on.
func (p *ports) reserveFreePort() (int, error) {
	for _, offset := range rand.Perm(freePorts) {
		port := firstFreePort + offset
		if checkPort(port) == nil && p.reserve(port) {
			return port, nil
		}
	}
	return 0, fmt.Errorf("no free TCP port from %d to %d on %s", firstFreePort, firstFreePort+freePorts-1, Host)
}

func (p *ports) release() error {
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
		return fmt.Errorf("port %d is not free: %w", port, err)
	}
	return l.Close()
}
