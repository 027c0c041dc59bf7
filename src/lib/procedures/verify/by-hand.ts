import type {ManualCommand} from '../../runbook/procedure.ts'
import type {Storage} from '../../repository/storage/storage.ts'
import type {VerifyOptions} from './options.ts'

export function findByHand({wanted, storages, environment}: VerifyOptions): ManualCommand[] {
  if (wanted.kind === 'place') return [lsOf(wanted.storage, wanted.key)]
  return storages.map((storage) => lsOf(storage, wanted.kind === 'label' ? `${environment}/${wanted.label}` : environment))
}

const lsOf = ({kind, location}: Storage, key: string): ManualCommand => ({argv: kind === 's3' ? ['aws', 's3', 'ls', `${location}/${key}/`] : ['ls', '-l', `${location}/${key}`]})

/** What pg_restore and sh can say of a backup; dr also compares rows and sequences with the manifest. */
export function checkByHand(options: VerifyOptions): ManualCommand[] {
  const {wanted, storages, environment} = options
  if (wanted.kind === 'place') return copyByHand(wanted.storage, wanted.key, options)
  const label = wanted.kind === 'label' ? wanted.label : 'LABEL'
  return storages.flatMap((storage) => copyByHand(storage, `${environment}/${label}`, options))
}

function copyByHand(storage: Storage, key: string, {level, tools}: VerifyOptions): ManualCommand[] {
  const pgRestore = tools?.[0]?.pgRestore ?? 'pg_restore'
  const folder = storage.kind === 's3' ? (key.split('/').at(-1) ?? key) : `${storage.location}/${key}`
  const members = [`cd ${quoted(folder)}`, 'sh recover.sh --check']
  const whole = String.raw`for f in *.dat.gz; do [ ! -s "$f" ] || gzip -t "$f" || echo "$f"; done; for f in *.dat.zst; do [ ! -s "$f" ] || zstd -tq "$f" || echo "$f"; done`
  return [
    ...(storage.kind === 's3' ? [{argv: ['aws', 's3', 'cp', '--recursive', `${storage.location}/${key}`, folder]}] : []),
    {argv: ['sh', '-c', members.join(' && ')], note: 'SHA-256 of every member; sha256sum -c does the same from the list in manifest.json'},
    {argv: [pgRestore, '--list', folder], note: 'the table of contents'},
    ...(level === 'full' ? [{argv: ['sh', '-c', `cd ${quoted(folder)} && { ${whole}; }`], note: 'names what does not decompress'}] : []),
  ]
}

const quoted = (path: string) => `'${path.replaceAll("'", String.raw`'\''`)}'`
