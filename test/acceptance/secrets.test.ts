import {expect} from 'chai'
import {readdirSync, readFileSync, statSync} from 'node:fs'
import {join} from 'node:path'
import {connect, endQuietly} from '../../src/lib/postgres/connection.ts'
import {removeFolder, temporaryFolder} from '../support/backup.ts'
import {testCluster, type TestCluster} from '../support/cluster.ts'
import {startDr} from '../support/process.ts'
import {s3ForTests, type S3ForTests} from '../support/s3.ts'
import {clientTools} from '../support/tools.ts'

const PASSWORD = 'c@nary:pass/w%rd\\1'
const SECRET_KEY = 'canaryS3secret/abcdefghijklmnop+0123456789'
const ENCRYPTION_KEY = 'canary-encryption-key-0123456789abcdef'
const FORMS = [PASSWORD, encodeURIComponent(PASSWORD), SECRET_KEY, encodeURIComponent(SECRET_KEY), ENCRYPTION_KEY, 'canary']

/** Every file below a folder. */
const filesBelow = (folder: string): string[] => readdirSync(folder, {recursive: true, withFileTypes: true}).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
const leaks = (text: string) => FORMS.filter((form) => text.includes(form))

describe('secrets', function () {
  this.timeout(120_000)
  let cluster: TestCluster
  let s3: S3ForTests
  let home = ''
  let env: NodeJS.ProcessEnv = {}

  before(async () => {
    cluster = await testCluster({major: 18})
    const client = await connect(await cluster.createDatabase('secrets_test'))
    await client.query(`DROP ROLE IF EXISTS "o:wner"; CREATE ROLE "o:wner" LOGIN CREATEDB PASSWORD '${PASSWORD}'; ALTER DATABASE secrets_test OWNER TO "o:wner"`)
    await client.query('SET ROLE "o:wner"; CREATE SCHEMA app; CREATE TABLE app.leads AS SELECT i, md5(i::text) AS title FROM generate_series(1, 20000) i')
    await endQuietly(client)
    s3 = await s3ForTests({credentials: {accessKeyId: 'AKIACANARYTEST000000', secretAccessKey: SECRET_KEY}})
  })
  after(() => s3.close())
  beforeEach(async () => {
    home = await temporaryFolder('secrets')
    env = {
      DATABASE_URL: `postgresql://${encodeURIComponent('o:wner')}:${encodeURIComponent(PASSWORD)}@127.0.0.1:${cluster.port}/secrets_test`, DR_PG_BIN: await clientTools(18), AWS_S3_BUCKET: s3.bucket, AWS_REGION: s3.region,
      AWS_ENDPOINT_URL_S3: s3.endpoint, AWS_ACCESS_KEY_ID: s3.credentials.accessKeyId, AWS_SECRET_ACCESS_KEY: SECRET_KEY, ENCRYPTION_KEY, DEBUG: '*',
    }
  })
  afterEach(() => removeFolder(home))

  /** Runs `dr` and looks at the command lines of all processes meanwhile. */
  async function watched(argv: string[], more: NodeJS.ProcessEnv = {}): Promise<{code: number | null; output: string; commandLines: Set<string>}> {
    const commandLines = new Set<string>()
    const look = () => {
      for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
        try {
          commandLines.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8'))
        } catch {
          // It has ended.
        }
      }
    }
    const watcher = setInterval(look, 10)
    const run = startDr(argv, home, {env: {...env, ...more}})
    const {code} = await run.ended
    clearInterval(watcher)
    return {code, output: run.stdout + run.stderr, commandLines}
  }

  const RUNS: [string, string[], NodeJS.ProcessEnv, number][] = [
    ['a backup', ['backup', '--s3', '--local'], {}, 0],
    ['a plan of a backup', ['backup', '--plan'], {}, 0],
    ['a backup as JSON', ['backup', '--local', '--json'], {}, 0],
    ['a list', ['list', '--json'], {}, 0],
    ['a verification', ['verify', '--json'], {}, 0],
    ['a restore', ['restore', '--s3', 'latest', '--json'], {}, 0],
    ['a plan of a restore', ['restore', 'latest', '--plan'], {}, 0],
    ['a comparison row by row', ['diff', '--deep', '--json'], {}, 0],
    ['the configuration', ['config', 'show'], {}, 0],
    ['a wrong password', ['backup', '--local'], {DATABASE_URL: 'postgresql://postgres:canary-wrong@127.0.0.1:1/secrets_test'}, 5],
    ['a URL that cannot be read', ['backup', '--local'], {DATABASE_URL: 'postgresql://postgres:canary-wrong@bad host/secrets_test'}, 3],
    ['a wrong key of S3', ['backup', '--s3', '--json'], {AWS_SECRET_ACCESS_KEY: 'canary-wrong-key'}, 5],
    ['a wrong flag', ['backup', '--bogus', '--json'], {}, 2],
  ]

  it('stand in no command line, output, journal, manifest or member', async () => {
    for (const [name, argv, more, expected] of RUNS) {
      const {code, output, commandLines} = await watched(argv, more)
      expect(code, `${name}: ${output.replaceAll(/^.*(debug|config).*$/gm, '').slice(-2000)}`).to.equal(expected)
      expect(leaks(output), `output of ${name}`).to.deep.equal([])
      expect([...commandLines].filter((line) => leaks(line).length > 0), `command lines during ${name}`).to.deep.equal([])
    }
    const files = [...filesBelow(home), ...filesBelow(s3.directory)]
    expect(files.some((path) => path.endsWith('manifest.json'))).to.equal(true)
    expect(files.some((path) => path.endsWith('.jsonl'))).to.equal(true)
    for (const path of files) expect(leaks(readFileSync(path, 'latin1')), path).to.deep.equal([])
    for (const path of filesBelow(join(home, 'data', 'journal'))) expect(statSync(path).mode & 0o077, path).to.equal(0)
  })
})
