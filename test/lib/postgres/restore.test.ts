import {expect} from 'chai'
import type {Archive, ArchiveEntry} from '../../../src/lib/postgres/archive.ts'
import {isHarmless, RestoreComplaints, restoreError, type RestoreProblem} from '../../../src/lib/postgres/restore-errors.ts'
import {entriesToRepeat, scriptStatements, tryRestore} from '../../../src/lib/postgres/restore.ts'
import type {ClientTools} from '../../../src/lib/postgres/tools.ts'
import {carriesStatistics, listText, restoreLists} from '../../../src/lib/postgres/restore-lists.ts'
import {maintenanceWorkMem, startupOptions} from '../../../src/lib/postgres/restore-settings.ts'

type Section = ArchiveEntry['section']
const entry = (dumpId: number, kind: string, section: Section, tag: string, more: Partial<ArchiveEntry> = {}): ArchiveEntry =>
  ({dumpId, kind, section, tag, schema: 'public', owner: 'o', definition: '', copyStatement: undefined, dependencies: [], file: kind === 'TABLE DATA' ? `${dumpId}.dat` : undefined, ...more})
const archiveOf = (entries: ArchiveEntry[]): Archive => ({formatVersion: '1.16', compression: 'zstd', database: 'd', serverVersion: '17', pgDumpVersion: '17.5', entries})

const sample = archiveOf([
  entry(1, 'ENCODING', 'pre-data', 'ENCODING'),
  entry(2, 'EXTENSION', 'pre-data', 'pgcrypto', {schema: undefined}),
  entry(3, 'COMMENT', 'none', 'EXTENSION pgcrypto', {schema: undefined}),
  entry(4, 'TABLE', 'pre-data', 'leads'),
  entry(5, 'COMMENT', 'none', 'TABLE leads'),
  entry(6, 'ACL', 'none', 'TABLE leads'),
  entry(7, 'TABLE DATA', 'data', 'leads'),
  entry(8, 'TABLE DATA', 'data', 'calls'),
  entry(9, 'SEQUENCE SET', 'data', 's'),
  entry(10, 'BLOBS', 'data', 'BLOBS', {file: 'blobs.toc'}),
  entry(11, 'STATISTICS DATA', 'data', 'leads'),
  entry(12, 'INDEX', 'post-data', 'leads\nidx'),
  entry(13, 'ACL', 'none', 'LARGE OBJECT 1'),
])
const ids = (entries: readonly ArchiveEntry[]) => entries.map(({dumpId}) => dumpId)

describe('the three lists of a restore', () => {
  it('put privileges after the data, and lose no entry', () => {
    const lists = restoreLists(sample, {serverMajor: 18})
    expect(ids(lists.schema)).to.deep.equal([1, 2, 4, 5])
    expect(ids(lists.data)).to.deep.equal([7, 8])
    expect(ids(lists.rest)).to.deep.equal([6, 9, 10, 11, 12, 13])
    expect(ids(lists.dropped)).to.deep.equal([3])
  })

  it('leave statistics out where the server cannot take them', () => {
    const [newer, older] = [restoreLists(sample, {serverMajor: 18}), restoreLists(sample, {serverMajor: 17})]
    expect([carriesStatistics(newer), carriesStatistics(older)]).to.deep.equal([true, false])
    expect(ids(older.dropped)).to.deep.equal([3, 11])
  })

  it('work for an archive without data', () => {
    const lists = restoreLists(archiveOf(sample.entries.filter(({section}) => section !== 'data' && section !== 'post-data')), {serverMajor: 18})
    expect(ids(lists.schema)).to.deep.equal([1, 2, 4, 5])
    expect(lists.data).to.deep.equal([])
  })

  it('are one line an entry, whatever its name', () => {
    expect(listText([entry(12, 'INDEX', 'post-data', 'a\nb;c')])).to.equal('12; INDEX public.a b;c\n')
  })
})

const stderr = `pg_restore: while INITIALIZING:
pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"
Command was: SET transaction_timeout = 0;
pg_restore: while PROCESSING TOC:
pg_restore: from TOC entry 12; 1259 16386 INDEX leads idx o
pg_restore: error: could not execute query: ERROR:  relation "x" already exists
Command was: CREATE INDEX x ON public.leads
  USING btree (id);
pg_restore: error: could not execute query: ERROR:  another of the same entry
Command was: ALTER INDEX x;
pg_restore: from TOC entry 7; 0 16386 TABLE DATA leads o
pg_restore: error: COPY failed for table "leads": ERROR:  duplicate key value violates unique constraint "leads_email_key"
DETAIL:  Key (email)=(someone@example.com) already exists.
CONTEXT:  COPY leads, line 1: "someone@example.com"
pg_restore: warning: errors ignored on restore: 1`

const complaintsOf = (text: string): RestoreProblem[] => {
  const complaints = new RestoreComplaints(sample)
  for (const line of text.split('\n')) complaints.line(line)
  return complaints.problems
}

describe('what pg_restore complains of', () => {
  it('is attributed to its entry, with the statement, without the data of rows', () => {
    const problems = complaintsOf(stderr)
    expect(problems.map(({entry: name}) => name)).to.deep.equal([undefined, 'INDEX public.leads\nidx', 'INDEX public.leads\nidx', 'TABLE DATA public.leads'])
    expect(problems[1]).to.include({command: 'CREATE INDEX x ON public.leads'})
    expect(JSON.stringify(problems)).not.to.contain('someone@example.com')
    expect(restoreError(problems.slice(3), 1, []).message).not.to.contain('someone@example.com')
  })

  it('is attributed by its statement where lines of workers mix', () => {
    const archive = archiveOf([entry(1, 'INDEX', 'post-data', 'a', {definition: 'CREATE INDEX a ON t (a);'}), entry(2, 'INDEX', 'post-data', 'b', {definition: 'CREATE INDEX b\n ON t (b);'})])
    const complaints = new RestoreComplaints(archive)
    for (const line of ['pg_restore: from TOC entry 1; 1 2 INDEX a o', 'pg_restore: error: could not execute query: ERROR:  deadlock detected', 'Command was: CREATE INDEX b']) complaints.line(line)
    expect(complaints.problems).to.deep.equal([{entry: 'INDEX public.b', dumpId: 2, message: 'could not execute query: ERROR:  deadlock detected', command: 'CREATE INDEX b'}])
  })

  it('may come right at a second try only when the server refused known entries', () => {
    const problem = (dumpId: number | undefined, message: string): RestoreProblem => ({entry: dumpId === undefined ? undefined : 'x', dumpId, message, command: ''})
    const repeat = (...problems: RestoreProblem[]) => entriesToRepeat(sample, {problems, complete: true, error: restoreError(problems, 1, [])})?.map(({dumpId}) => dumpId)
    expect(repeat(problem(12, 'ERROR:  deadlock detected'), problem(6, 'ERROR:  permission denied for schema odd'), problem(12, 'x'))).to.deep.equal([6, 12])
    expect(repeat(problem(12, 'ERROR:  deadlock detected'), problem(undefined, 'ERROR:  x'))).to.equal(undefined)
    expect(repeat(problem(12, 'server closed the connection unexpectedly'))).to.equal(undefined)
    expect(repeat(problem(12, 'could not read input file'))).to.equal(undefined)
    expect(repeat()).to.equal(undefined)
    const known = [problem(12, 'ERROR:  deadlock detected')]
    expect(entriesToRepeat(sample, {problems: known, complete: false, error: restoreError(known, 1, [])})).to.equal(undefined)
  })

  const refused = ['pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"', 'Command was: SET transaction_timeout = 0;']
  const gathered = (lines: readonly string[]) => {
    const complaints = new RestoreComplaints(sample)
    for (const line of lines) complaints.line(line)
    return complaints
  }
  const old = {clientMajor: 17, serverMajor: 16}

  it('is seen where workers tear the line', () => {
    const complaints = gathered([...refused, 'pg_restore:pg_restore:  creating INDEX "public.a"', ' error: could not execute query: ERROR:  deadlock detected', 'Command was: CREATE INDEX a;'])
    expect(complaints.problems.map(({message}) => message)).to.include('could not execute query: ERROR:  deadlock detected')
    expect(complaints.judge(old).forgiven).to.equal(false)
  })

  it('is counted where its words stand elsewhere', () => {
    const complaints = gathered([...refused, 'pg_restore: creating INDEX "public.a"pg_restore: error: pg_restore: creating INDEX "public.b"', 'could not execute query: ERROR:  deadlock detected'])
    expect(complaints.judge(old).forgiven).to.equal(false)
    expect(gathered(['pg_restore: creating error: could not execute query: ERROR:  deadlock detected']).complete).to.equal(false)
  })

  it('is forgiven only when every one is the harmless one, torn or not', () => {
    const [error = '', command = ''] = refused
    expect(gathered([...refused, ...refused]).judge(old).forgiven).to.equal(true)
    expect(gathered([error, error, command, command]).judge(old).forgiven).to.equal(true)
    expect(gathered([error, command, error, 'Command was: CREATE INDEX a;']).judge(old).forgiven).to.equal(false)
    expect(gathered([]).judge(old).forgiven).to.equal(false)
    expect(gathered(refused).judge({clientMajor: 17, serverMajor: 17}).forgiven).to.equal(false)
  })

  it('is incomplete beyond what is kept', () => {
    expect(gathered(Array.from({length: 201}, () => 'pg_restore: error: x')).complete).to.equal(false)
  })

  for (const [code, fails] of [[1, false], [137, true], [143, true], [2, true]] as const) {
    it(`${fails ? 'fails' : 'is forgiven'} with code ${code} when only the harmless one was said`, async () => {
      const script = `printf '%s\\n' '${refused[0] ?? ''}' '${refused[1] ?? ''}' >&2; exit ${code}`
      const tools = {major: 17} as ClientTools
      const {error} = await tryRestore(['sh', '-c', script], {archive: sample, tools, serverMajor: 16, env: {}, signal: new AbortController().signal})
      expect(error !== undefined).to.equal(fails)
    })
  }

  it('is harmless only for the one setting, with a new client on an old server', () => {
    const problems = complaintsOf(stderr)
    const harmless = (clientMajor: number, serverMajor: number) => problems.map((problem) => isHarmless(problem, {clientMajor, serverMajor}))
    expect(harmless(17, 16)).to.deep.equal([true, false, false, false])
    expect(harmless(18, 15)).to.deep.equal([true, false, false, false])
    expect(harmless(17, 17)).to.deep.equal([false, false, false, false])
    expect(harmless(16, 16)).to.deep.equal([false, false, false, false])
  })

  const cases: [string, string, number][] = [
    ['COPY failed for table "t": ERROR:  missing data for column "b"', 'restore.data', 4],
    ['COPY failed for table "t": ERROR:  new row for relation "t" violates check constraint "c"', 'restore.failed', 1],
    ['COPY failed for table "t": ERROR:  invalid byte sequence for encoding "UTF8": 0xff', 'restore.data', 4],
    ['could not execute query: ERROR:  could not open file "base/1/2": Permission denied', 'restore.failed', 1],
    ['could not decompress data: Data corruption detected', 'restore.data', 4],
    ['could not open input file "/x/12.dat": No such file or directory', 'restore.data', 4],
    ['could not execute query: ERROR:  permission denied for schema app', 'restore.failed', 1],
    ['could not execute query: server closed the connection unexpectedly', 'restore.connection-lost', 5],
    ['connection to server at "h", port 1 failed: FATAL:  unsupported startup parameter: options', 'restore.pooler', 3],
    ['COPY failed for table "t": ERROR:  could not extend file "base/1/2": No space left on device', 'restore.disk-full', 1],
  ]
  for (const [message, code, exitCode] of cases) {
    it(`becomes ${code} (${exitCode}) for: ${message}`, () => {
      const error = restoreError([{entry: 'TABLE DATA public.t', dumpId: 1, message, command: undefined}, {entry: undefined, dumpId: undefined, message: 'x', command: undefined}], 1, [])
      expect(error).to.include({code, exitCode})
      expect(error.hints).not.to.be.empty
    })
  }

  it('names what pg_restore said when it names no error', () => {
    expect(restoreError([], 137, ['Killed']).message).to.contain('137').and.contain('Killed')
  })
})

describe('a script of pg_restore for another client than psql', () => {
  const body = '\nCREATE FUNCTION f() AS $$\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\n\\unrestrict x\n$$;\n'
  const settings = 'SET statement_timeout = 0;\nSET lock_timeout = 0;\nSET transaction_timeout = 0;\nSET row_security = off;\n'

  it('loses what only psql knows, and what an older server does not, and nothing of a body', () => {
    const script = `--\n\n\\restrict abc\n\n-- Dumped\n\n${settings}${body}\n--\n\n\\unrestrict abc\n\n`
    expect(scriptStatements(script, {serverMajor: 15, lockTimeoutMs: 5000})).to.equal(`SET statement_timeout = 0;\nSET lock_timeout = 5000;\n\nSET row_security = off;\n${body}\n--\n`)
    expect(scriptStatements(script, {serverMajor: 17, lockTimeoutMs: 5000})).to.include('SET transaction_timeout = 0;\nSET row_security')
  })

  it('of an older pg_restore is as long as it was', () => {
    const script = `--\n\n-- Dumped\n\n${settings.replace('SET transaction_timeout = 0;\n', '')}${body}`
    expect(scriptStatements(script, {serverMajor: 15, lockTimeoutMs: 5000})).to.include(body)
  })
})

describe('the settings of a restore', () => {
  const MIB = 1024 * 1024
  const of = (sharedMib: number, jobs: number, ownMib = 64) => maintenanceWorkMem({sharedBuffersBytes: sharedMib * MIB, ownBytes: ownMib * MIB, jobs}) / MIB

  it('share half of shared_buffers among the jobs, between the server\'s own value and 1 GB', () => {
    expect(of(8192, 4)).to.equal(1024)
    expect(of(1024, 2)).to.equal(256)
    expect(of(128, 2)).to.equal(64)
    expect(of(64 * 1024, 2)).to.equal(1024)
    expect(of(128, 2, 2048)).to.equal(2048)
  })

  it('name only what the server knows', () => {
    const settings = {maintenanceWorkMemBytes: 64 * MIB}
    expect(startupOptions({...settings, serverMajor: 13})).to.contain('-c maintenance_work_mem=65536kB').and.not.contain('idle_session_timeout')
    expect(startupOptions({...settings, serverMajor: 16})).to.contain('idle_session_timeout=0').and.not.contain('transaction_timeout=0 -c').and.not.match(/ transaction_timeout/)
    expect(startupOptions({...settings, serverMajor: 17})).to.match(/-c transaction_timeout=0/)
  })
})
