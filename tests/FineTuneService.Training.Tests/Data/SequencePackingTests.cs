using FineTuneService.Training.Data;
using static TorchSharp.torch;

namespace FineTuneService.Training.Tests.Data;

public sealed class SequencePackingTests
{
    [Fact]
    public void No_token_is_lost_and_little_room_is_left()
    {
        var random = new SplitMix64(5);
        TokenSequence[] texts = [.. Enumerable.Range(0, 500).Select(text => TokenSequence.Whole([.. Enumerable.Range(text * 1000, 2 + (int)random.Below(63))]))];

        var rows = SequencePacking.BestFitDecreasing(texts, text => text.Length, 64);

        Assert.Equal(texts.OrderBy(text => text.Ids[0]), rows.SelectMany(row => row).OrderBy(text => text.Ids[0]));
        Assert.All(rows, row => Assert.InRange(row.Sum(text => text.Length), 1, 64));
        Assert.InRange(texts.Sum(text => text.Length) / (64.0 * rows.Count), 0.97, 1);
        Assert.Equal(rows, SequencePacking.BestFitDecreasing(texts, text => text.Length, 64));
    }

    [Theory]
    [InlineData(2)]
    [InlineData(8)]
    [InlineData(9)]
    [InlineData(15)]
    [InlineData(16)]
    [InlineData(100)]
    public void A_long_document_is_split_and_every_token_but_the_first_is_predicted_once(int length)
    {
        Stretch[] pieces = [.. new Stretch(1000, length).Split(8)];

        Assert.All(pieces, piece => Assert.InRange(piece.Length, 2, 8));
        Assert.Equal(Enumerable.Range(1001, length - 1), pieces.SelectMany(piece => Enumerable.Range((int)piece.Start + 1, piece.Length - 1))); // The first of a piece is read only.
    }

    [Fact]
    public void No_label_crosses_a_document_and_positions_begin_anew()
    {
        using var batch = LanguageFixtures.Collate([[TokenSequence.Whole([5, 6, 7]), TokenSequence.Whole([8, 9])], [new([3, 4], [0, 0.5f])]], padding: 0);

        Assert.Equal([5, 6, 7, 8, 9, 3, 4, 0, 0, 0], Values(batch.Inputs.InputIds));
        Assert.Equal([-100, 6, 7, -100, 9, -100, 4, -100, -100, -100], Values(batch.Labels));
        Assert.Equal([0, 1, 2, 0, 1, 0, 1, 0, 0, 0], Values(batch.Inputs.PositionIds!));
        Assert.Equal([0, 0, 0, 1, 1, 0, 0, -1, -1, -1], Values(batch.Inputs.DocumentIds!));
        Assert.Equal([0, 1, 1, 0, 1, 0, 0.5f, 0, 0, 0], batch.Weights!.data<float>().ToArray());
        Assert.Equal((7, 3.5), (batch.Tokens, batch.Targets));
    }

    private static long[] Values(Tensor tensor) => tensor.data<long>().ToArray();
}
