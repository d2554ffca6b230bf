using System.Buffers.Binary;
using System.Numerics;

namespace FineTuneService.Api.Exports;

/// <summary>
/// Writes an event file as TensorBoard reads it: TFRecords (tensorflow/core/lib/io/record_writer.h), each an <c>Event</c> (tensorflow/core/util/event.proto).
/// </summary>
internal sealed class TensorBoardEvents(Stream file)
{
    /// <summary>The first record of a file.</summary>
    public Task Begin(DateTimeOffset time) => Write(Event(time).Text(3, "brain.Event:2"));

    public Task Scalars(DateTimeOffset time, int step, IEnumerable<(string Name, double Value)> scalars) => Write(Event(time, step).Message(5, scalars.Aggregate(
        new ProtobufMessage(), (summary, scalar) => summary.Message(1, new ProtobufMessage().Text(1, scalar.Name).Float(2, (float)scalar.Value)))));

    /// <param name="markdown">Shown under the tab Text.</param>
    public Task Text(DateTimeOffset time, string name, string markdown)
    {
        const int DtString = 7;
        var tensor = new ProtobufMessage().Integer(1, DtString).Message(2, new ProtobufMessage().Message(2, new ProtobufMessage().Integer(1, 1))).Text(8, markdown);
        return Write(Event(time).Message(5, new ProtobufMessage().Message(1, new ProtobufMessage().Text(1, name).Message(8, tensor).Message(9, Plugin("text", new())))));
    }

    /// <summary>What a run was started with, under the tab HParams (tensorboard/plugins/hparams/plugin_data.proto).</summary>
    /// <param name="values">Numbers, booleans and texts.</param>
    public Task Hyperparameters(DateTimeOffset time, IEnumerable<(string Name, object Value)> values)
    {
        var session = values.Aggregate(new ProtobufMessage(), (session, pair) => session.Message(1, new ProtobufMessage().Text(1, pair.Name).Message(2, pair.Value switch
        {
            double number => new ProtobufMessage().Double(2, number),
            bool flag => new ProtobufMessage().Integer(4, flag ? 1 : 0),
            _ => new ProtobufMessage().Text(3, pair.Value.ToString()!),
        })));
        return Summary(time, "_hparams_/session_start_info", new ProtobufMessage().Message(3, session.Double(5, Seconds(time))));
    }

    /// <summary>The counterpart of <see cref="Hyperparameters"/>.</summary>
    public Task End(DateTimeOffset time, bool succeeded)
    {
        const int Success = 1, Failure = 2;
        return Summary(time, "_hparams_/session_end_info", new ProtobufMessage().Message(4, new ProtobufMessage().Integer(1, succeeded ? Success : Failure).Double(2, Seconds(time))));
    }

    private Task Summary(DateTimeOffset time, string tag, ProtobufMessage hparams) =>
        Write(Event(time).Message(5, new ProtobufMessage().Message(1, new ProtobufMessage().Text(1, tag).Message(9, Plugin("hparams", hparams)))));

    private static ProtobufMessage Plugin(string name, ProtobufMessage content) => new ProtobufMessage().Message(1, new ProtobufMessage().Text(1, name).Message(2, content));

    private static ProtobufMessage Event(DateTimeOffset time, int step = 0) => new ProtobufMessage().Double(1, Seconds(time)).Integer(2, step);

    private static double Seconds(DateTimeOffset time) => (time - DateTimeOffset.UnixEpoch).TotalSeconds;

    private async Task Write(ProtobufMessage record)
    {
        var data = record.ToArray();
        var framed = new byte[8 + 4 + data.Length + 4];
        BinaryPrimitives.WriteInt64LittleEndian(framed, data.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(framed.AsSpan(8), MaskedCrc(framed.AsSpan(0, 8)));
        data.CopyTo(framed, 12);
        BinaryPrimitives.WriteUInt32LittleEndian(framed.AsSpan(12 + data.Length), MaskedCrc(data));
        await file.WriteAsync(framed);
    }

    /// <summary>CRC-32C, rotated and shifted, since the CRC of data that holds CRCs is a poor one (tensorflow/core/lib/hash/crc32c.h).</summary>
    internal static uint MaskedCrc(ReadOnlySpan<byte> data)
    {
        var crc = uint.MaxValue;
        foreach (var value in data)
            crc = BitOperations.Crc32C(crc, value);
        return BitOperations.RotateRight(~crc, 15) + 0xa282ead8;
    }
}
