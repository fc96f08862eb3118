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
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"

	"github.com/edgesync/edgesync/internal/object"
)

// describe is how sentences call an object: ConfigMap shop/settings.
func describe(key object.Key) string {
	name := key.Name
	if key.Namespace != "" {
		name = key.Namespace + "/" + name
	}
	if key.Group != "" {
		return key.Kind + "." + key.Group + " " + name
	}
	return key.Kind + " " + name
}

// resolveObject is the object that the argument of a command names: in full, or as
// kind/name or resource.group/name, as with kubectl.
func (p *plugin) resolveObject(argument string) (object.Key, error) {
	if key, ok := object.ParseKey(argument); ok {
		return key, nil
	}
	kind, name, found := strings.Cut(argument, "/")
	if !found || kind == "" || name == "" || strings.Contains(name, "/") {
		return object.Key{}, fmt.Errorf("%q names no object: use kind/name, kind.group/name, or in full [group/]Kind/[namespace/]name", argument)
	}
	mapper, err := p.flags.ToRESTMapper()
	if err != nil {
		return object.Key{}, err
	}
	mapping, err := mappingFor(mapper, kind)
	if meta.IsNoMatchError(err) {
		return object.Key{}, fmt.Errorf("the cluster serves no kind %q (see `kubectl api-resources`); "+
			"an object of a kind that is gone can be named in full: [group/]Kind/[namespace/]name", kind)
	}
	if err != nil {
		return object.Key{}, err
	}
	key := object.Key{Group: mapping.GroupVersionKind.Group, Kind: mapping.GroupVersionKind.Kind, Name: name}
	if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
		key.Namespace, err = p.namespace()
	}
	return key, err
}

// mappingFor finds a kind by what kubectl takes for one: a resource, a short name or a
// kind, with a version and a group or without.
func mappingFor(mapper meta.RESTMapper, argument string) (*meta.RESTMapping, error) {
	full, resource := schema.ParseResourceArg(strings.ToLower(argument))
	if full != nil {
		if gvk, err := mapper.KindFor(*full); err == nil {
			return mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		}
	}
	gvk, err := mapper.KindFor(resource.WithVersion(""))
	if err == nil {
		return mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	}
	if !meta.IsNoMatchError(err) {
		return nil, err
	}
	fullKind, kind := schema.ParseKindArg(argument)
	if fullKind != nil {
		if mapping, err := mapper.RESTMapping(fullKind.GroupKind(), fullKind.Version); err == nil {
			return mapping, nil
		}
	}
	return mapper.RESTMapping(kind)
}

// getMetadata reads the metadata of an object from the cluster. isGone says of an error
// whether there is no such object.
func (p *plugin) getMetadata(ctx context.Context, key object.Key) (*metav1.PartialObjectMetadata, error) {
	mapper, err := p.flags.ToRESTMapper()
	if err != nil {
		return nil, err
	}
	mapping, err := mapper.RESTMapping(key.GroupKind())
	if err != nil {
		return nil, err
	}
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	c, err := metadata.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	return c.Resource(mapping.Resource).Namespace(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
}

// isGone reports whether an error of getMetadata says that there is no such object, or
// not even its kind.
func isGone(err error) bool { return apierrors.IsNotFound(err) || meta.IsNoMatchError(err) }
