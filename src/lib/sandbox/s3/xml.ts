import {s3Error} from './s3-error.ts'

const namespace = 'http://s3.amazonaws.com/doc/2006-03-01/'
const declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
const entities: Readonly<Record<string, string>> = {'&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\r': '&#13;'}

const escape = (text: string) => text.replaceAll(/[&<>"\r]/g, (character) => entities[character] ?? character)

/** An element with text, or nothing when there is no value. */
export function tag(name: string, value: string | number | boolean | undefined): string {
  return value === undefined ? '' : `<${name}>${escape(String(value))}</${name}>`
}

/** An element around others, which are XML already. */
export function group(name: string, ...children: string[]): string {
  return `<${name}>${children.join('')}</${name}>`
}

/** A whole document of S3's namespace. */
export function xmlDocument(name: string, ...children: string[]): string {
  return `${declaration}<${name} xmlns="${namespace}">${children.join('')}</${name}>`
}

export function errorDocument(fields: Readonly<Record<string, string | undefined>>): string {
  return declaration + group('Error', ...Object.entries(fields).map(([name, value]) => tag(name, value)))
}

export interface XmlElement {
  name: string
  text: string
  children: XmlElement[]
}

const malformed = () => s3Error('MalformedXML', 'The XML you provided was not well-formed or did not validate against our published schema')

/** Reads a request's document: elements and text. Attributes, comments and declarations are passed over. */
export function parseXml(source: string, root: string): XmlElement {
  const top: XmlElement = {name: '', text: '', children: []}
  const open = [top]
  for (const [token, markup] of source.matchAll(/<([^>]*)>|[^<]+/g)) take(open, token, markup)
  const [first, ...others] = top.children
  if (open.length > 1 || !first || others.length > 0 || first.name !== root) throw malformed()
  return first
}

function take(open: XmlElement[], token: string, markup: string | undefined): void {
  const parent = open.at(-1)
  if (!parent) throw malformed()
  if (markup === undefined) parent.text += unescape(token)
  else if (markup.startsWith('/')) close(open, markup.slice(1).trim())
  else if (!/^[?!]/.test(markup)) begin(open, parent, markup)
}

function begin(open: XmlElement[], parent: XmlElement, markup: string): void {
  const name = /^[^\s/]+/.exec(markup)?.[0]
  if (name === undefined) throw malformed()
  const element: XmlElement = {name: name.replace(/^.*:/, ''), text: '', children: []}
  parent.children.push(element)
  if (!markup.endsWith('/')) open.push(element)
}

function close(open: XmlElement[], name: string): void {
  if (open.length < 2 || open.pop()?.name !== name.replace(/^.*:/, '')) throw malformed()
}

function unescape(text: string): string {
  return text.replaceAll(/&(?:#x([\da-fA-F]+)|#(\d+)|(\w+));/g, (whole, hex?: string, decimal?: string, name?: string) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16))
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal))
    return {amp: '&', lt: '<', gt: '>', quot: '"', apos: "'"}[name ?? ''] ?? whole
  })
}

export const childrenOf = (element: XmlElement, name: string) => element.children.filter((child) => child.name === name)

/** The text of the child, or of the child's child and so on. */
export function textOf(element: XmlElement | undefined, ...path: string[]): string | undefined {
  const found = path.reduce<XmlElement | undefined>((at, name) => at?.children.find((child) => child.name === name), element)
  return found?.text
}
