import {mkdir, readFile, rm, symlink, writeFile} from 'node:fs/promises'
import {join, resolve} from 'node:path'
import {parseArchive, type Archive, type ArchiveEntry} from '../../postgres/archive.ts'
import {rewriteToc} from '../../postgres/archive-rewrite.ts'
import type {RestoreLists} from '../../postgres/restore-lists.ts'
import {skipEntries, type SkippedEntry} from '../../postgres/restore-skip.ts'
import {roleChange, type RoleRewrite} from '../../postgres/role-map.ts'
import {inFolder} from './members.ts'
import type {RestoreOptions} from './options.ts'
import {assertNamed} from './role-map.ts'

export interface PreparedArchive {
  /** As it is restored: with the roles of the map, without what is left out. */
  archive: Archive
  /** Where pg_restore finds it. */
  directory: string
  skipped: SkippedEntry[]
}

/**
 * The archive as this server and this wish need it. The backup itself is never changed: where definitions or owners differ,
 * a copy of toc.dat lies in the run's folder, with links to the members beside it.
 */
export async function prepareArchive(archive: Archive, source: string, options: RestoreOptions, {plainRole}: Pick<RoleRewrite, 'plainRole'>): Promise<PreparedArchive> {
  const rewrite: RoleRewrite = {map: options.roleMap ?? new Map(), plainRole}
  assertNamed(options.backup, archive, rewrite.map)
  const changes = archive.entries.some((entry) => Object.keys(roleChange(entry, rewrite)).length > 0)
  const prepared = changes ? await rewritten(source, options, rewrite) : {archive, directory: source}
  return {...prepared, ...skipEntries(prepared.archive, options.skip ?? [])}
}

/**
 * Who is no superuser can give objects only to who may create them in their schema: then privileges on schemas come first.
 * A superuser restores them with all others, after the data.
 */
export function schemasFirst(lists: RestoreLists, plainRole: boolean): {lists: RestoreLists; schemas: ArchiveEntry[]} {
  const acls = lists.rest.filter(({kind, tag}) => kind === 'ACL' && tag.startsWith('SCHEMA '))
  if (!plainRole || acls.length === 0) return {lists, schemas: []}
  const schemas = [...lists.schema.filter(({kind}) => kind === 'SCHEMA'), ...acls]
  const left = (entries: readonly ArchiveEntry[]) => entries.filter((entry) => !schemas.includes(entry))
  return {lists: {...lists, schema: left(lists.schema), rest: left(lists.rest)}, schemas}
}

async function rewritten(source: string, {runDirectory, backup}: RestoreOptions, rewrite: RoleRewrite): Promise<{archive: Archive; directory: string}> {
  const directory = join(runDirectory, 'archive')
  const toc = rewriteToc(await readFile(join(source, TOC)), (entry) => roleChange(entry, rewrite))
  await inFolder(runDirectory, async () => {
    await rm(directory, {recursive: true, force: true})
    await mkdir(directory, {mode: 0o700})
    await writeFile(join(directory, TOC), toc, {mode: 0o600})
    // Members that are still to be downloaded will be where their link points.
    for (const {name} of backup.manifest.members) if (name !== TOC) await symlink(resolve(source, name), join(directory, name))
  })
  return {archive: parseArchive(toc), directory}
}

const TOC = 'toc.dat'
