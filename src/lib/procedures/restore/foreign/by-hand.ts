import {restoreArguments} from '../../../postgres/restore.ts'
import {psqlArguments} from '../../../postgres/psql.ts'
import {startupOptions} from '../../../postgres/restore-settings.ts'
import {targetUrl} from '../../../postgres/target.ts'
import type {Layer} from '../../../repository/foreign.ts'
import type {ManualCommand} from '../../../runbook/procedure.ts'
import {shellQuote} from '../../../system/shell.ts'
import {settingsOf} from '../load.ts'
import type {FoundDump} from './dump.ts'
import type {ForeignOptions, ForeignState} from './options.ts'

const UNPACK: Readonly<Record<Layer, string>> = {gzip: 'gzip -dc', zstd: 'zstd -dc', lz4: 'lz4 -dc'}
/** Where what comes from elsewhere is put first. */
const FILE = 'DUMP'

const isScript = ({dump}: ForeignState) => dump.kind === 'plain'

/** The file or folder that the commands read: the dump itself, or what it was unpacked to. */
function pathOf({dump: {place}}: ForeignOptions, {dump: {layers}}: ForeignState): string {
  if (place.kind === 'folder') return place.path
  return place.kind === 'file' && layers.length === 0 ? place.path : FILE
}

/** Brings the dump to where the commands read it. */
function fetching({place, location}: FoundDump, layers: readonly Layer[]): ManualCommand[] {
  if (place.kind === 'folder' || (place.kind === 'file' && layers.length === 0)) return []
  if (place.kind === 'prefix') return [{argv: ['aws', 's3', 'cp', '--recursive', location, FILE]}]
  const source = place.kind === 'file' ? `cat ${shellQuote(place.path)}` : place.kind === 'object' ? `aws s3 cp ${shellQuote(location)} -` : 'cat'
  return [{argv: ['sh', '-c', `${[source, ...layers.map((layer) => UNPACK[layer])].join(' | ')} > ${FILE}`]}]
}

export function readByHand(options: ForeignOptions, state: ForeignState): ManualCommand[] {
  const path = pathOf(options, state)
  const read = isScript(state) ? {argv: ['tail', '-n', '5', path], note: 'ends with: PostgreSQL database dump complete'} : {argv: [state.tools.pgRestore, '--file=/dev/null', path], note: 'reads every block of data'}
  return [...fetching(options.dump, state.dump.layers), read]
}

/** From the builders that `run` uses. */
export function loadByHand(options: ForeignOptions, state: ForeignState): ManualCommand[] {
  const access = {url: (database?: string) => targetUrl(options.target, database)}
  const path = pathOf(options, state)
  const settings = `PGOPTIONS=${startupOptions(settingsOf(state))}`
  if (isScript(state)) {
    const argv = psqlArguments({path: 'psql'}, access, {database: state.database, singleTransaction: state.dump.singleTransaction ?? true})
    return [{argv: ['env', settings, ...argv.map((word) => (word === '--file=-' ? `--file=${path}` : word))]}]
  }
  const format = state.dump.kind === 'tar' || state.dump.kind === 'directory' ? state.dump.kind : 'custom'
  const [, ...list] = restoreArguments(state.tools, access, {format, directory: path, list: 'all.list', database: state.database, jobs: format === 'tar' ? 1 : state.jobs})
  return [
    {argv: ['sh', '-c', `${shellQuote(state.tools.pgRestore)} --list ${shellQuote(path)} | grep -v ' COMMENT - EXTENSION ' > all.list`]},
    {argv: ['env', settings, state.tools.pgRestore, ...list]},
  ]
}
