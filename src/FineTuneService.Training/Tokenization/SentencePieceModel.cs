using System.Buffers.Binary;
using System.Text;
using FineTuneService.Contracts;

namespace FineTuneService.Training.Tokenization;

/// <summary>What a piece is for; the numbers of sentencepiece_model.proto.</summary>
internal enum PieceType { Normal = 1, Unknown = 2, Control = 3, UserDefined = 4, Unused = 5, Byte = 6 }

internal sealed record SentencePiece(string Text, float Score, PieceType Type);

/// <summary>
/// A file of the sentencepiece library (<c>tokenizer.model</c>, <c>spiece.model</c>, …): a ModelProto of sentencepiece_model.proto,
/// in the wire format of Protocol Buffers. Only the fields that a pipeline follows from are kept.
/// </summary>
internal sealed record SentencePieceModel(IReadOnlyList<SentencePiece> Pieces, bool IsBpe, bool ByteFallback, byte[] Charsmap)
{
    /// <exception cref="FaultException">When the file is no such model; names the byte.</exception>
    public static SentencePieceModel Load(string file)
    {
        var pieces = new List<SentencePiece>();
        var (isBpe, byteFallback, charsmap) = (false, false, Array.Empty<byte>());
        try
        {
            foreach (var field in Fields(File.ReadAllBytes(file)))
                switch (field.Number)
                {
                    case 1:
                        pieces.Add(Piece(field.Bytes));
                        break;
                    case 2: // trainer_spec
                        foreach (var spec in Fields(field.Bytes))
                            (isBpe, byteFallback) = (spec.Number == 3 ? spec.Value == 2 : isBpe, spec.Number == 35 ? spec.Value != 0 : byteFallback);
                        break;
                    case 3: // normalizer_spec
                        charsmap = Fields(field.Bytes).Where(spec => spec.Number == 2).Select(spec => spec.Bytes.ToArray()).LastOrDefault(charsmap);
                        break;
                }
        }
        catch (Exception error) when (error is InvalidDataException or DecoderFallbackException)
        {
            throw new FaultException(file, null, $"This is no sentencepiece model: {error.Message}", "Download the file again.");
        }
        return pieces.Count > 0
            ? new(pieces, isBpe, byteFallback, charsmap)
            : throw new FaultException(file, null, "This sentencepiece model has no pieces.", "Download the file again.");
    }

    private static SentencePiece Piece(ReadOnlyMemory<byte> message)
    {
        var (text, score, type) = ("", 0f, PieceType.Normal);
        foreach (var field in Fields(message))
            (text, score, type) = field.Number switch
            {
                1 => (StrictUtf8.GetString(field.Bytes.Span), score, type),
                2 => (text, BitConverter.UInt32BitsToSingle((uint)field.Value), type),
                3 => (text, score, (PieceType)field.Value),
                _ => (text, score, type),
            };
        return new(text, score, type);
    }

    private static readonly UTF8Encoding StrictUtf8 = new(false, throwOnInvalidBytes: true);

    private readonly record struct Field(int Number, ulong Value, ReadOnlyMemory<byte> Bytes);

    private static IEnumerable<Field> Fields(ReadOnlyMemory<byte> message)
    {
        for (var at = 0; at < message.Length;)
        {
            var key = Varint(message.Span, ref at);
            var (number, wire) = ((int)(key >> 3), key & 7);
            if (wire == 0)
            {
                yield return new(number, Varint(message.Span, ref at), default);
                continue;
            }
            var length = wire switch
            {
                1 => 8UL,
                2 => Varint(message.Span, ref at),
                5 => 4UL,
                _ => throw new InvalidDataException($"wire type {wire} at byte {at}"),
            };
            if (length > (ulong)(message.Length - at))
                throw new InvalidDataException($"a field ends beyond the data at byte {at}");
            var bytes = message.Slice(at, (int)length);
            at += (int)length;
            yield return new(number, wire == 5 ? BinaryPrimitives.ReadUInt32LittleEndian(bytes.Span) : 0, bytes);
        }
    }

    private static ulong Varint(ReadOnlySpan<byte> bytes, ref int at)
    {
        ulong value = 0;
        for (var shift = 0; at < bytes.Length && shift < 64; shift += 7)
        {
            var next = bytes[at++];
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return value;
        }
        throw new InvalidDataException($"an unfinished number at byte {at}");
    }
}
