import {expect} from 'chai'
import {execFileSync} from 'node:child_process'
import {SqlScanner} from '../../../../src/lib/postgres/sql/scanner.ts'
import {shapeOf, type OpenEnd, type SqlItem} from '../../../../src/lib/postgres/sql/tokens.ts'
import {createAwkwardDatabase} from '../../../support/awkward.ts'
import {testCluster} from '../../../support/cluster.ts'
import {clientTools} from '../../../support/tools.ts'

function scan(sql: string | Buffer, size = Infinity): {items: SqlItem[]; open: OpenEnd | undefined} {
  const items: SqlItem[] = []
  const scanner = new SqlScanner((item) => { items.push(item) })
  const bytes = Buffer.from(sql)
  for (let at = 0; at < bytes.length; at += Math.min(size, bytes.length)) scanner.add(bytes.subarray(at, at + size))
  const open = scanner.end()
  return {items, open}
}

/** Statements by their shape, commands by their text, rows by their number. */
const shown = (sql: string): string[] => scan(sql).items.flatMap((item) => (item.kind === 'statement' ? [shapeOf(item.tokens)] : item.kind === 'command' ? [item.text] : item.kind === 'rows' ? [`${item.rows} rows`] : []))

describe('reading a script as psql does', () => {
  it('splits it into statements, and sees no keyword inside of quotes', () => {
    expect(shown(`SELECT 'a;b', "c;d"; SELECT f($$;$$, $x$ $$;$y$ $x$, E'\\';', 'it''s;');`)).to.deep.equal(["select ' , \"", "select f ( ' , ' , ' , ' )"])
    expect(shown('SELECT 1 -- ; no\n/* ; /* ; */ ; */ + 2;')).to.deep.equal(['select 1 + 2'])
    expect(shown('SELECT a$b$ FROM t; SELECT $1; SELECT $$x$$;')).to.deep.equal(['select a$b$ from t', 'select $ 1', "select '"])
    expect(shown('CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3;')).to.deep.equal(['create rule r as on insert to t do ( select 1 ; select 2 )', 'select 3'])
  })

  it('knows the bodies of functions that are SQL', () => {
    const body = 'CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;'
    expect(shown(`${body} SELECT 3;`)).to.have.length(2)
    expect(shown('CREATE FUNCTION f() RETURNS int AS $$ BEGIN RETURN 1; END $$ LANGUAGE plpgsql; SELECT 3;')).to.have.length(2)
    expect(shown('BEGIN; SELECT 1; END;')).to.deep.equal(['begin', 'select 1', 'end'])
  })

  it('reads the strings with escapes as the server would', () => {
    expect(shown(String.raw`SELECT E'a\'b;' ; SELECT 1;`)).to.have.length(2)
    expect(shown(String.raw`SELECT 'a\'; SELECT 1;`)).to.deep.equal(["select '", 'select 1'])
    // A string that goes on after a newline keeps its kind.
    expect(shown("SELECT E'a'\n  '\\';' ; SELECT 1;")).to.deep.equal(["select ' '", 'select 1'])
    expect(shown("SELECT E'a' '\\'; SELECT 1;")).to.deep.equal(["select ' '", 'select 1'])
    const scanner = new SqlScanner(() => undefined)
    scanner.plainStrings = false
    scanner.add(Buffer.from(String.raw`SELECT '\';`))
    expect(scanner.end()).to.equal('quote')
  })

  it('takes the lines behind COPY FROM STDIN for rows, whatever they look like', () => {
    const rows = '1\t\\\\. x\n\\! rm\n\\.x\nDROP TABLE t;\n\\connect elsewhere\n'
    expect(shown(`COPY public.t (a, "b") FROM stdin;\n${rows}\\.\n\nSELECT 1;`)).to.deep.equal(['copy public . t ( a , " ) from stdin', '5 rows', 'select 1'])
    expect(shown('COPY t FROM stdin;\r\n1\r\n\\.\r\nSELECT 1;')).to.deep.equal(['copy t from stdin', '1 rows', 'select 1'])
    expect(shown('COPY t FROM stdin;\n\\.\n')).to.deep.equal(['copy t from stdin', '0 rows'])
    expect(scan('COPY t FROM stdin;\n1\n\\.').open).to.equal(undefined)
    for (const other of ['COPY (SELECT 1 AS "from stdin") TO stdout', `COPY t FROM 'stdin'`, 'COPY t TO stdin', 'COPY t FROM PROGRAM $$ from stdin $$']) {
      expect(shown(`${other};\nSELECT 1;\n`), other).to.have.length(2).and.include('select 1')
    }
  })

  it('says when something stands behind the semicolon of a COPY', () => {
    const followed = (sql: string) => scan(sql).items.some((item) => item.kind === 'rows' && item.followed)
    expect(followed('COPY t FROM stdin; \\! id\n1\n\\.\n')).to.equal(true)
    expect(followed('COPY t FROM stdin; \r\n1\n\\.\n')).to.equal(false)
  })

  it('finds commands of psql wherever they stand, and only where they are some', () => {
    const commands = (sql: string) => scan(sql).items.flatMap((item) => (item.kind === 'command' ? [[item.text, item.line, item.insideStatement]] : []))
    expect(commands('\\! id\nSELECT 1 \\g |cat\n;  \\connect x')).to.deep.equal([['\\! id', 1, false], ['\\g |cat', 2, true], ['\\connect x', 3, false]])
    expect(commands(`SELECT '\\! id', "\\! id", $$\n\\! id\n$$, E'\\\\! id'; -- \\! id\n/*\n\\! id\n*/`)).to.deep.equal([])
    // For psql a carriage return ends a comment.
    expect(commands('-- a comment\r\\! id\n')).to.deep.equal([['\\! id', 1, false]])
  })

  it('says where it breaks off', () => {
    const open: Record<string, OpenEnd | undefined> = {
      'SELECT 1;\n-- end': undefined, 'SELECT 1': 'statement', "SELECT 'a": 'quote', 'SELECT "a': 'quote', 'SELECT $x$ a $x': 'quote', "SELECT E'a\\'": 'quote', '/* a': 'comment', 'COPY t FROM stdin;\n1': 'rows', 'COPY t FROM stdin;': 'rows', '': undefined,
    }
    for (const [sql, end] of Object.entries(open)) expect(scan(sql).open, sql).to.equal(end)
  })

  it('counts lines and bytes', () => {
    const sql = "-- ü\n\nSELECT\n 'ä\nö';\nCOPY t FROM stdin;\n1\n2\n\\.\nSELECT 2;"
    const found = scan(sql).items.flatMap((item) => (item.kind === 'statement' ? [[item.line, item.endLine, Buffer.from(sql).toString('utf8', item.from, item.to)]] : item.kind === 'rows' ? [[item.line, item.endLine]] : []))
    expect(found).to.deep.equal([[3, 5, "SELECT\n 'ä\nö';"], [6, 6, 'COPY t FROM stdin;'], [7, 9], [10, 10, 'SELECT 2;']])
  })

  it('finds the same in a real dump, wherever it is cut into pieces', async function () {
    this.timeout(180_000)
    const cluster = await testCluster({major: 18})
    const {url} = await createAwkwardDatabase(cluster, 'scanned_awkward')
    try {
      for (const flags of [[], ['--inserts'], ['--clean', '--create']]) {
        const sql = execFileSync(`${await clientTools(18)}/pg_dump`, [...flags, url], {maxBuffer: 1e9})
        const {items, open} = scan(sql)
        expect(open).to.equal(undefined)
        expect(items.length).to.be.above(400)
        const whole = JSON.stringify({items, open})
        for (const size of [1, 2, 3, 7, 64, 1000]) expect(JSON.stringify(scan(sql, size)) === whole, `pieces of ${size}`).to.equal(true)
        const last = items.findLast(({kind}) => kind === 'comment' )
        expect(items.filter((item) => item.kind === 'comment' && item.text === 'PostgreSQL database dump complete')).to.have.length(1)
        expect(last?.line).to.be.closeTo(sql.toString('latin1').split('\n').length, 6)
      }
    } finally {
      await cluster.drop('scanned_awkward')
    }
  })
})
