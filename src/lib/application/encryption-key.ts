import {createHmac} from 'node:crypto'

/**
 * Tells two ENCRYPTION_KEYs apart without showing either: a keyed hash, cut to 64 bits. A restored database is partly
 * unreadable under another key, so the backup's manifest carries this.
 */
export const encryptionKeyFingerprint = (key: string): string => createHmac('sha256', key).update('dashboarduz-dr encryption key fingerprint v1').digest('hex').slice(0, 16)
