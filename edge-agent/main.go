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

// Command edge-agent runs on machines at the edge: see package command.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/edgesync/edgesync/edge-agent/internal/command"
	"github.com/edgesync/edgesync/internal/protocol"
)

func main() {
	if os.Getenv("GOGC") == "" {
		// Machines at the edge have processors to spare rather than memory.
		debug.SetGCPercent(50)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command.New().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	if !errors.Is(err, command.ErrNotInSync) {
		fmt.Fprintln(os.Stderr, "edge-agent:", protocol.Printable(err.Error())) // it may quote the network
	}
	os.Exit(1)
}
