using System.Text;

namespace FineTuneService.Api.Exports;

/// <summary>A message in protobuf's wire format (protobuf.dev/programming-guides/encoding); a field that is its type's default is left out, as proto3 does.</summary>
internal sealed class ProtobufMessage
{
    private const int Varint = 0, Fixed64 = 1, Delimited = 2, Fixed32 = 5;

    private readonly List<byte> _bytes = [];

    public byte[] ToArray() => [.. _bytes];

    public ProtobufMessage Integer(int field, long value) => value == 0 ? this : Tagged(field, Varint).Number((ulong)value);

    public ProtobufMessage Double(int field, double value) => Tagged(field, Fixed64).Raw(BitConverter.GetBytes(value));

    public ProtobufMessage Float(int field, float value) => Tagged(field, Fixed32).Raw(BitConverter.GetBytes(value));

    public ProtobufMessage Text(int field, string value) => Bytes(field, Encoding.UTF8.GetBytes(value));

    public ProtobufMessage Message(int field, ProtobufMessage value) => Bytes(field, value.ToArray());

    private ProtobufMessage Bytes(int field, byte[] value) => Tagged(field, Delimited).Number((ulong)value.Length).Raw(value);

    private ProtobufMessage Tagged(int field, int type) => Number((ulong)((field << 3) | type));

    private ProtobufMessage Number(ulong value)
    {
        for (; value >= 0x80; value >>= 7)
            _bytes.Add((byte)(value | 0x80));
        _bytes.Add((byte)value);
        return this;
    }

    private ProtobufMessage Raw(byte[] bytes)
    {
        _bytes.AddRange(bytes);
        return this;
    }
}
