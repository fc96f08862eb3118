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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/edgesync/edgesync/internal/testing/fleet"
	"github.com/edgesync/edgesync/internal/testing/process"
)

// status shows each program, and what each agent says of itself.
func status(ctx context.Context, dir string, out io.Writer) error {
	r, err := loadRecord(dir)
	if errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintf(out, "Nothing runs in %s: `make quickstart` starts it.\n", relative(dir))
		return err
	} else if err != nil {
		return err
	}
	f, err := newFleet(dir, r.Ports)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	q := &quickstart{dir: dir, fleet: f}
	for _, name := range nodeNames {
		q.agents = append(q.agents, f.Agent(name, fleet.AgentOptions{Labels: nodeLabels}))
	}
	if err := q.printPrograms(ctx, out); err != nil {
		return err
	}
	for _, a := range q.agents {
		fmt.Fprintf(out, "\n%s:\n%s", a.NodeName, agentStatus(ctx, a))
	}
	return nil
}

func (q *quickstart) printPrograms(ctx context.Context, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROGRAM\tPID\tPORTS\tLOG\tHEALTH")
	for _, p := range q.fleet.Programs() {
		health := "ok"
		if err := p.Check(ctx); err != nil {
			health = strings.TrimSpace(err.Error())
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", q.label(p), number(p.PID()), numbers(p), relative(p.LogPath()), health)
	}
	return table.Flush()
}

func number(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func numbers(p *process.Program) string {
	var all []string
	for _, port := range p.Ports {
		all = append(all, strconv.Itoa(port))
	}
	if all == nil {
		return "-"
	}
	return strings.Join(all, ",")
}

// agentStatus is what edge-agent status prints, be it good or bad news.
func agentStatus(ctx context.Context, a *fleet.Agent) string {
	text, err := exec.CommandContext(ctx, a.Path, "status", "--state-dir="+a.StateDir()).CombinedOutput()
	if len(text) == 0 && err != nil {
		return err.Error() + "\n"
	}
	return string(text)
}
