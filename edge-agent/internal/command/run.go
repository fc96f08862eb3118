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
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"

	"github.com/edgesync/edgesync/edge-agent/internal/agent"
	"github.com/edgesync/edgesync/edge-agent/internal/config"
	"github.com/edgesync/edgesync/internal/protocol"
)

// runFlags are the flags of run. They come before the configuration file.
type runFlags struct {
	stateDir       string
	file           string
	targets        []string
	hub            string
	labels         []string
	sealKeyFile    string
	maxObjectBytes int
	driftInterval  time.Duration
	metricsAddress string
	pprof          bool
	logFormat      string
	verbosity      int
}

func newRun() *cobra.Command {
	var flags runFlags
	cmd := &cobra.Command{
		Use:   "run --target directory=/path | --config FILE",
		Short: "Run the agent",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			configuration, err := flags.configuration()
			if err != nil {
				return err
			}
			log := newLogger(cmd.ErrOrStderr(), configuration.LogFormat, flags.verbosity)
			return agent.Run(cmd.Context(), flags.stateDir, configuration, log)
		},
	}
	addStateDir(cmd, &flags.stateDir)
	set := cmd.Flags()
	set.StringVar(&flags.file, "config", "", "configuration file (YAML); flags come before what is in it")
	set.StringArrayVar(&flags.targets, "target", nil,
		"where to apply objects: directory=/path or kubernetes=/path/of/kubeconfig; may be repeated, and adds to those of --config")
	set.StringVar(&flags.hub, "hub", "",
		"address of the hub, https://host:port; by default where the hub has said that it is, or where the machine has joined")
	set.StringArrayVar(&flags.labels, "label", nil,
		"what the node says of itself, name=value; may be repeated, and adds to those of --config, and to os and arch")
	addSealKeyFile(set, &flags.sealKeyFile)
	set.IntVar(&flags.maxObjectBytes, "max-object-bytes", 0,
		fmt.Sprintf("refuse objects that are larger than this (default %d)", protocol.MaxObjectBytes))
	set.DurationVar(&flags.driftInterval, "drift-interval", 0, "how often everything applied is checked and repaired (default 1m)")
	set.StringVar(&flags.metricsAddress, "metrics-bind-address", "",
		"where to serve Prometheus metrics over HTTP, for example 127.0.0.1:9464 (default: nowhere)")
	set.BoolVar(&flags.pprof, "pprof", false, "serve profiles under /debug/pprof there too; only on a loopback address")
	set.StringVar(&flags.logFormat, "log-format", "", "format of the log: text or json (default text)")
	set.CountVarP(&flags.verbosity, "verbose", "v", "log more; may be repeated")
	return cmd
}

func (f *runFlags) configuration() (config.Config, error) {
	var configuration config.Config
	if f.file != "" {
		var err error
		if configuration, err = config.Load(f.file); err != nil {
			return configuration, err
		}
	}
	for _, target := range f.targets {
		if err := configuration.AddTarget(target); err != nil {
			return configuration, err
		}
	}
	for _, label := range f.labels {
		if err := configuration.AddLabel(label); err != nil {
			return configuration, err
		}
	}
	if f.hub != "" {
		configuration.Hub = f.hub
	}
	if f.sealKeyFile != "" {
		configuration.SealKeyFile = f.sealKeyFile
	}
	if f.maxObjectBytes != 0 {
		configuration.MaxObjectBytes = f.maxObjectBytes
	}
	if f.driftInterval != 0 {
		configuration.DriftInterval.Duration = f.driftInterval
	}
	if f.metricsAddress != "" {
		configuration.MetricsBindAddress = f.metricsAddress
	}
	configuration.Pprof = configuration.Pprof || f.pprof
	if f.logFormat != "" {
		configuration.LogFormat = f.logFormat
	}
	return configuration, configuration.Complete()
}

func newLogger(to io.Writer, format string, verbosity int) logr.Logger {
	options := &slog.HandlerOptions{Level: slog.Level(-verbosity)}
	var handler slog.Handler = slog.NewTextHandler(to, options)
	if format == config.LogJSON {
		handler = slog.NewJSONHandler(to, options)
	}
	return logr.FromSlogHandler(handler)
}
