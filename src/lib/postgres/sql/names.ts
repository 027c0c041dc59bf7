import {shapeOf, type Token} from './tokens.ts'

/** What a script or an archive asks of the server beside the database itself. */
export interface NamedRoles {
  /** Are to own something. */
  owners: Set<string>
  /** All that are named: owners, grantees, roles of policies and of default privileges. */
  named: Set<string>
}

export const noRoles = (): NamedRoles => ({owners: new Set(), named: new Set()})

/** Not roles, but words for one. */
const WORDS = new Set(['public', 'current_user', 'session_user', 'current_role'])

/** Notes the roles that a statement names. */
export function noteRoles(tokens: readonly Token[], into: NamedRoles): void {
  const shape = shapeOf(tokens)
  if (/^(alter|create) /.test(shape)) {
    for (const name of after(tokens, ['owner', 'to'])) add(name, into, true)
    for (const name of after(tokens, ['authorization'])) add(name, into, true)
  }
  if (/^(grant|revoke) /.test(shape)) for (const name of listBehind(tokens, shape.startsWith('grant') ? 'to' : 'from')) add(name, into, false)
  if (/^create policy /.test(shape)) for (const name of listBehind(tokens, 'to')) add(name, into, false)
  if (!shape.startsWith('alter default privileges ')) return
  for (const word of ['role', 'user']) for (const name of after(tokens, ['for', word])) add(name, into, false)
  for (const name of listBehind(tokens, shape.includes(' revoke ') ? 'from' : 'to')) add(name, into, false)
}

function add({kind, text}: Token, {owners, named}: NamedRoles, owns: boolean): void {
  if (kind === 'word' && WORDS.has(text)) return
  // They come with the server.
  if (text.startsWith('pg_')) return
  named.add(text)
  if (owns) owners.add(text)
}

const isName = (token: Token | undefined): token is Token => token?.kind === 'name' || (token?.kind === 'word' && /^\D/.test(token.text))

/** What stands behind these words, wherever they stand. */
function after(tokens: readonly Token[], words: readonly string[]): Token[] {
  return tokens.flatMap((_, at) => {
    const fits = words.every((word, index) => tokens[at + index]?.kind === 'word' && tokens[at + index]?.text === word)
    const next = tokens[at + words.length]
    return fits && isName(next) ? [next] : []
  })
}

/** The names behind the last `to` or `from` outside of quotes, separated by commas. */
function listBehind(tokens: readonly Token[], word: string): Token[] {
  const start = tokens.findLastIndex(({kind, text}) => kind === 'word' && text === word)
  if (start === -1) return []
  const names: Token[] = []
  for (let at = start + 1; at < tokens.length; at += 2) {
    const name = tokens[at]?.text === 'group' && tokens[at]?.kind === 'word' ? tokens[++at] : tokens[at]
    if (!isName(name)) break
    names.push(name)
    if (tokens[at + 1]?.text !== ',') break
  }
  return names
}

/** The name behind these words, when the statement begins with them; `if exists` and `if not exists` are passed over. */
export function nameBehind(tokens: readonly Token[], ...words: string[]): string | undefined {
  if (!words.every((word, at) => tokens[at]?.kind === 'word' && tokens[at].text === word)) return undefined
  const rest = tokens.slice(words.length)
  const skipped = /^if (not )?exists /.exec(shapeOf(rest))?.[0].trim().split(' ').length ?? 0
  const name = rest[skipped]
  return isName(name) ? name.text : undefined
}
