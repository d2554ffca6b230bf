using System.Buffers.Binary;

namespace FineTuneService.Api.Exports;

/// <summary>
/// Writes the log of a Weights &amp; Biases run that was offline, as <c>wandb sync</c> reads it: LevelDB's log format (github.com/google/leveldb, doc/log_format.md)
/// behind a header of its own and with the CRC-32 of zlib (wandb/sdk/internal/datastore.py), each record a <c>Record</c> of wandb/proto/wandb_internal.proto.
/// </summary>
internal sealed class WandbLog(Stream file)
{
    private const int BlockBytes = 32_768, HeaderBytes = 7;
    private const int Full = 1, First = 2, Middle = 3, Last = 4;

    private static readonly uint[] CrcTable = [.. Enumerable.Range(0, 256).Select(value => Enumerable.Range(0, 8).Aggregate((uint)value, (crc, _) => (crc & 1) == 0 ? crc >> 1 : (crc >> 1) ^ 0xedb88320))];

    private long _length;
    private long _records;

    public Task Begin() => Put([.. ":W&B"u8, 0xe1, 0xbe, 0]);

    /// <param name="field">Of <c>Record</c>: what <paramref name="content"/> is.</param>
    public async Task Write(int field, ProtobufMessage content)
    {
        var data = new ProtobufMessage().Integer(1, _records++).Message(field, content).ToArray().AsMemory();
        for (var (isFirst, isLast) = (true, false); !isLast; isFirst = false)
        {
            var room = BlockBytes - (int)(_length % BlockBytes);
            if (room < HeaderBytes)
            {
                await Put(new byte[room]);
                room = BlockBytes;
            }
            var piece = data[..Math.Min(data.Length, room - HeaderBytes)];
            data = data[piece.Length..];
            isLast = data.Length == 0;
            await Put(Piece(piece.Span, (isFirst, isLast) switch { (true, true) => Full, (true, false) => First, (false, false) => Middle, _ => Last }));
        }
    }

    private static byte[] Piece(ReadOnlySpan<byte> data, int type)
    {
        var piece = new byte[HeaderBytes + data.Length];
        BinaryPrimitives.WriteUInt16LittleEndian(piece.AsSpan(4), (ushort)data.Length);
        piece[6] = (byte)type;
        data.CopyTo(piece.AsSpan(HeaderBytes));
        BinaryPrimitives.WriteUInt32LittleEndian(piece, Crc(piece.AsSpan(6))); // Of type and data.
        return piece;
    }

    private static uint Crc(ReadOnlySpan<byte> data)
    {
        var crc = uint.MaxValue;
        foreach (var value in data)
            crc = CrcTable[(byte)(crc ^ value)] ^ (crc >> 8);
        return ~crc;
    }

    private async Task Put(byte[] bytes)
    {
        await file.WriteAsync(bytes);
        _length += bytes.Length;
    }
}
