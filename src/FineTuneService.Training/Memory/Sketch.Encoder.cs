using FineTuneService.Training.Models;

namespace FineTuneService.Training.Memory;

/// <summary>See <see cref="Models.Layers.EncoderView"/>.</summary>
internal sealed partial class Sketch
{
    /// <summary>Tokens that go through the layers that look at one at a time.</summary>
    private long _tokens = shape.Tokens;

    /// <summary>To be said before the first layer of an encoder whose layers are spared the padding.</summary>
    public void DropPadding() => _tokens = shape.RealTokens ?? shape.Tokens;

    /// <summary>The blocks of an encoder, with its last hidden states: of all tokens, in rows, or of each row's first.</summary>
    /// <param name="block">Of its name, the states that it computes anew, and all states.</param>
    public Value Encoder(string path, int count, Value hidden, long dim, ModelHead head, Func<string, Value, Value, Value> block)
    {
        var firstOnly = head == ModelHead.SequenceClassification;
        var last = Blocks(path, count, hidden, (number, name, input, _) => block(name, firstOnly && number == count - 1 ? First(input, dim) : input, input));
        return Hidden(firstOnly ? last : Padded(last));
    }

    public Value Attend(Value query, Value key, Value value, AttentionSketch attention)
    {
        var all = query.Count == key.Count;
        var attended = Attention(all ? Padded(query) : query, Padded(key), Padded(value), attention with { Mask = shape.IsMasked ? shape.Tokens : 0 });
        return all ? Unpadded(attended) : attended;
    }

    private Value First(Value hidden, long dim) => _tokens < shape.Tokens ? _tape.Run(shape.Rows * dim, hidden.Width, [hidden], Tape.Plain) : Part(hidden, shape.Rows * dim);

    /// <summary>In rows again, as attention sees them.</summary>
    public Value Padded(Value tokens) => _tokens < shape.Tokens ? _tape.Run(tokens.Count / _tokens * shape.Tokens, tokens.Width, [tokens], Tape.Plain) : tokens;

    public Value Unpadded(Value rows) => _tokens < shape.Tokens ? _tape.Run(rows.Count / shape.Tokens * _tokens, rows.Width, [rows], Tape.Plain) : rows;
}
