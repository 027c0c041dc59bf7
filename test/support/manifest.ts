import type {Manifest} from '../../src/lib/repository/manifest.ts'

/** A whole manifest of a small backup. */
export function sampleManifest(changes: Partial<Manifest> = {}): Manifest {
  return {
    schemaVersion: 1, label: '20261122T020000Z-7f3a', environment: 'production',
    createdAt: '2026-11-22T02:00:00.123Z', finishedAt: '2026-11-22T02:01:00.000Z', status: 'good', suspicions: [],
    tool: {dr: '0.1.0', pgDump: '17.5', archiveVersion: '1.16', pgRestoreMajor: 17}, server: {version: '15.18', versionNum: 150018, major: 15},
    source: {database: 'crm', systemIdentifier: '7300000000000000000', databaseOid: 16384, host: 'db.example.com'},
    snapshot: {id: '00000003-1', at: '2026-11-22T02:00:00.123Z', lsn: '0/16B3748', xmin: '730', xmax: '735', current: '730:735:731'},
    encoding: 'UTF8', collation: {provider: 'libc', collate: 'C.UTF-8', ctype: 'C.UTF-8'}, sizes: {databaseBytes: 9_000_000, archiveBytes: 1_000_000},
    compression: 'zstd:1', jobs: 2, members: [{name: 'toc.dat', bytes: 10, sha256: 'a'.repeat(64)}],
    tables: [
      {schema: 'public', name: 'leads', kind: 'table', rows: 12, tenants: {t1: 7, t2: 5}, columns: ['id', 'tenantId'], bytes: 8192, dumpId: 3001},
      {schema: 'public', name: 'parted', kind: 'partitioned', rows: null, columns: ['id'], bytes: 0},
    ],
    sequences: [{schema: 'public', name: 's', lastValue: '9223372036854775807', isCalled: true}], materializedViews: [{schema: 'public', name: 'm', populated: true}],
    largeObjects: 1, extensions: [{name: 'pgcrypto', version: '1.3', schema: 'public'}], roles: [{name: 'app', login: true}],
    rowSecurity: [{schema: 'public', table: 'leads', enabled: true, forced: false}], policies: [{schema: 'public', table: 'leads', name: 'p', definition: 'USING (true)'}],
    grants: [{object: 'table public.leads', grantee: 'app', privileges: ['SELECT']}], indexes: {count: 3, invalid: []}, constraints: {count: 2, notValidated: []},
    databaseSettings: ['work_mem=64MB'], migrations: {head: '20261101_init', finishedAt: '2026-11-01T00:00:00Z'}, application: {release: 'v1.2.3'},
    encryption: null, timings: [{phase: 'dump', ms: 1234}], proofs: [{destination: '/backups', proof: 'reread'}], digests: false,
    ...changes,
  }
}
