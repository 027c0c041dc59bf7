import {randomBytes} from 'node:crypto'
import {globSync, readFileSync} from 'node:fs'
import {rm, writeFile} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {fileURLToPath} from 'node:url'
import {S3Storage} from '../../src/lib/repository/storage/s3.ts'
import {drErrorOf} from './rejection.ts'
import {credentials, MIB, openS3, type S3Fixture} from './s3-storage.ts'
import {contentOf, keysOf} from './storage-contract-run.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** One request as the SDK was given it. */
export interface Recorded {
  command: string
  input: {Bucket?: string; Key?: string; Prefix?: string}
}

/** A storage as on AWS, with a note of every request. */
export function recording({server}: Pick<S3Fixture, 'server'>): {storage: S3Storage; requests: Recorded[]} {
  const requests: Recorded[] = []
  const note = (content: unknown) => {
    const {commandName, input} = content as {commandName?: string; input?: Recorded['input']}
    if (commandName !== undefined && input) requests.push({command: commandName.replace(/Command$/, ''), input})
  }
  const logger = {debug() {}, info: note, warn() {}, error: note}
  // Without an endpoint of its own it is taken for AWS, which needs no look before it writes.
  const storage = new S3Storage({bucket: 'backups', prefix: 'team/dr', region: 'us-east-1', partBytes: 5 * MIB, retryDelayMs: 2, clientConfig: {credentials, logger, endpoint: server.endpoint, forcePathStyle: true}})
  return {storage, requests}
}

/** The commands of the SDK that a source makes, each with the action that is named before it. */
export function commandsIn(source: string): {named: string; command: string}[] {
  return source.split(/(?=action: ')/).slice(1).flatMap((part) => [...part.matchAll(/new (\w+)Command\(/g)].map(([, command = '']) => ({named: /^action: '([^']+)'/.exec(part)?.[1] ?? '', command})))
}

export const s3Sources = (): string[] => globSync('src/lib/repository/storage/s3*.ts', {cwd: root}).map((name) => readFileSync(join(root, name), 'utf8'))

/** Of each command of S3 the action of IAM, as the code names it in a denial. */
export const s3Actions = (): Map<string, string> => new Map(s3Sources().flatMap(commandsIn).map(({named, command}) => [command, named]))

/** What each method of a storage asks of S3, as it was seen. */
export async function actionsOfStorage(): Promise<Map<string, string[]>> {
  const s3 = await openS3()
  const file = join(tmpdir(), `dr-actions-${randomBytes(6).toString('hex')}`)
  const {storage, requests} = recording(s3)
  const named = s3Actions()
  const actions = new Map<string, string[]>()
  const seen = async (method: string, work: () => Promise<unknown>) => {
    requests.length = 0
    await work()
    actions.set(method, [...(actions.get(method) ?? []), ...requests.map(({command}) => named.get(command) ?? `unknown: ${command}`)])
  }
  try {
    await writeFile(file, randomBytes(6 * MIB))
    await seen('check', () => storage.check())
    await seen('put', () => storage.put('a/small', 'x'))
    await seen('putFile', () => storage.putFile('a/large', file))
    s3.server.faults.add({match: {operation: 'UploadPart'}, times: 1000, action: {status: 403, code: 'AccessDenied'}})
    await seen('putFile', () => drErrorOf(storage.putFile('a/failing', file)))
    s3.server.faults.clear()
    await seen('stat', () => storage.stat('a/small'))
    await seen('read', () => contentOf(storage, 'a/small'))
    await seen('list', () => keysOf(storage, 'a/'))
    await seen('folders', () => storage.folders(''))
    await seen('abandonedUploads', () => storage.abandonedUploads(0))
    await seen('abortUpload', () => storage.abortUpload({key: 'a/gone', id: 'gone', startedAt: new Date()}))
    await seen('remove', () => storage.remove('a/small'))
    return actions
  } finally {
    await storage.close()
    await s3.close()
    await rm(file, {force: true})
  }
}
