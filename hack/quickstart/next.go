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
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

var nextSteps = template.Must(template.New("").Parse(`
{{.Syncs}}
The objects of the nodes are files, and logs are next to them:

  {{.Dir}}/edge-1/objects/
  {{.Dir}}/edge-2/objects/
  {{.Dir}}/*.log {{.Dir}}/edge-*/edge-agent.log

Try next, in this directory:

  export KUBECONFIG={{.Kubeconfig}} PATH={{.Path}}:$PATH
  kubectl get objectsyncs -A
  kubectl get edgenodes
  kubectl -n quickstart describe objectsync settings

  # what a node should hold, what it holds, and why
  kubectl edgesync nodes
  kubectl edgesync diff edge-1
  kubectl edgesync why edge-1 configmap/settings -n quickstart

  # change the ConfigMap: both files change
  kubectl -n quickstart patch configmap settings --type=merge -p '{"data":{"greeting":"hello again"}}'
  cat {{.Dir}}/edge-*/objects/quickstart/configmaps/settings.yaml

  # delete it: both files go
  kubectl -n quickstart delete configmap settings

  # stop an agent, change things, and start it again
  kill $(cat {{.Dir}}/edge-2/edge-agent.pid)
  kubectl -n quickstart create configmap settings --from-literal=greeting=welcome
  make quickstart

  # kill the manager whenever you like: nothing is lost
  kill -9 $(cat {{.Dir}}/manager.pid)
  make quickstart

  edge-agent status --state-dir={{.Dir}}/edge-1/state
  make quickstart-status
  make quickstart-down
`))

// printNextSteps says where everything is and what to do with it.
func (q *quickstart) printNextSteps(ctx context.Context) error {
	syncs, err := q.fleet.Kubectl(ctx, "get", "objectsyncs", "-A")
	if err != nil {
		return err
	}
	kubectl, manager := q.fleet.KubectlPath(), q.fleet.Manager().Path
	return nextSteps.Execute(q.out, map[string]string{
		"Syncs":      syncs,
		"Dir":        relative(q.dir),
		"Kubeconfig": q.fleet.ControlPlane().KubeconfigPath(),
		"Path":       strings.Join([]string{filepath.Dir(manager), filepath.Dir(kubectl)}, ":"),
	})
}

// relative is path as seen from the working directory if that is shorter to say.
func relative(path string) string {
	cwd, err := os.Getwd()
	if err != nil {
		return path
	}
	if rel, err := filepath.Rel(cwd, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}
