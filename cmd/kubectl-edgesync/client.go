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

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	queryv1alpha1 "github.com/edgesync/edgesync/api/query/v1alpha1"
	syncv1alpha1 "github.com/edgesync/edgesync/api/v1alpha1"
)

// scheme has the types that the plugin knows.
var scheme = newScheme()

func newScheme() *runtime.Scheme {
	s := runtime.NewScheme()
	utilruntime.Must(corev1.AddToScheme(s))
	utilruntime.Must(syncv1alpha1.AddToScheme(s))
	utilruntime.Must(queryv1alpha1.AddToScheme(s))
	return s
}

// knownKinds says where the types of edgesync are served, so that it need not be asked.
func knownKinds() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for kind, scope := range map[string]meta.RESTScope{
		"EdgeNode": meta.RESTScopeRoot, "ObjectSync": meta.RESTScopeNamespace, "ClusterObjectSync": meta.RESTScopeRoot,
	} {
		mapper.Add(syncv1alpha1.GroupVersion.WithKind(kind), scope)
	}
	mapper.Add(corev1.SchemeGroupVersion.WithKind("Secret"), meta.RESTScopeNamespace)
	return mapper
}

// config is the cluster that the flags and the kubeconfig name.
func (p *plugin) config() (*rest.Config, error) {
	config, err := p.flags.ToRESTConfig()
	if err != nil {
		return nil, err
	}
	config = rest.CopyConfig(config)
	config.ContentType = runtime.ContentTypeJSON
	config.WarningHandler = rest.NewWarningWriter(p.streams.ErrOut, rest.WarningWriterOptions{Deduplicate: true})
	return config, nil
}

// client reads and writes the objects of edgesync, and Secrets.
func (p *plugin) client() (client.WithWatch, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	return client.NewWithWatch(config, client.Options{Scheme: scheme, Mapper: knownKinds()})
}

// namespace is that of the flags or of the kubeconfig.
func (p *plugin) namespace() (string, error) {
	namespace, _, err := p.flags.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// inventory asks the manager what a node holds. The parameters are those of the query API,
// as name and value in turn.
func (p *plugin) inventory(ctx context.Context, node string, parameters ...string) (*queryv1alpha1.NodeInventory, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	config.APIPath = "/apis"
	config.GroupVersion = &queryv1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, err
	}
	request := c.Get().Resource(queryv1alpha1.Resource).Name(node)
	for i := 0; i+1 < len(parameters); i += 2 {
		request.Param(parameters[i], parameters[i+1])
	}
	inventory := &queryv1alpha1.NodeInventory{}
	if err := request.Do(ctx).Into(inventory); err != nil {
		return nil, err
	}
	return inventory, nil
}

// askInventory is inventory, with an error that says what to do when the node is away, when
// there is none, or when nobody answers such questions.
func (p *plugin) askInventory(ctx context.Context, c client.Client, node string, parameters ...string) (
	*queryv1alpha1.NodeInventory, error) {
	inventory, err := p.inventory(ctx, node, parameters...)
	if err == nil {
		return inventory, nil
	}
	found := &syncv1alpha1.EdgeNode{}
	if getErr := c.Get(ctx, client.ObjectKey{Name: node}, found); getErr != nil {
		return nil, getErr
	}
	return nil, &inventoryError{node: found, now: p.now(), err: err}
}
