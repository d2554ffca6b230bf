using FineTuneService.Training.Data;
using FineTuneService.Training.Tasks;

namespace FineTuneService.Training.Tests.Data;

public sealed class MaskedTextsTests
{
    private const int Mask = 4, Vocabulary = 1000;

    /// <summary>Rows of 50 tokens, two to a word, between two special ones.</summary>
    private static readonly (int[] Ids, int[] Words)[] Texts = [.. Enumerable.Range(0, 400).Select(row => ((int[])
        [2, .. Enumerable.Range(0, 50).Select(at => 10 + (row * 31 + at * 7) % 900), 3],
        (int[])[-1, .. Enumerable.Range(0, 50).Select(at => at / 2), -1]))];

    [Fact]
    public void Fifteen_of_a_hundred_are_hidden_and_most_of_them_behind_the_mask()
    {
        var (ids, labels) = Collate(Rule());

        var hidden = labels.Index().Where(label => label.Item != LanguageModelLoss.Ignored).ToArray();
        double Share(Func<(int Index, long Item), bool> of) => (double)hidden.Count(of) / hidden.Length;
        Assert.Equal(0.15, hidden.Length / (400.0 * 50), 0.01);
        Assert.Equal(0.8, Share(label => ids[label.Index] == Mask), 0.02);
        Assert.Equal(0.1, Share(label => ids[label.Index] == label.Item), 0.02);
        Assert.Equal(0.1, Share(label => ids[label.Index] != Mask && ids[label.Index] != label.Item), 0.02);
    }

    [Fact]
    public void For_replaced_tokens_seventeen_of_twenty_go_behind_the_mask_and_three_stay()
    {
        var (ids, labels) = Collate(Rule() with { Replacement = MaskReplacement.Electra });

        var hidden = labels.Index().Where(label => label.Item != LanguageModelLoss.Ignored).ToArray();
        Assert.All(hidden, label => Assert.True(ids[label.Index] == Mask || ids[label.Index] == label.Item));
        Assert.Equal(0.85, (double)hidden.Count(label => ids[label.Index] == Mask) / hidden.Length, 0.02);
    }

    [Fact]
    public void Labels_are_the_tokens_that_stood_there_and_special_tokens_stay()
    {
        var (ids, labels) = Collate(Rule());
        var original = Texts.SelectMany(text => text.Ids).ToArray();

        Assert.All(labels.Index(), label => Assert.True(label.Item == LanguageModelLoss.Ignored ? ids[label.Index] == original[label.Index] : label.Item == original[label.Index]));
        Assert.All(Enumerable.Range(0, 400), row => Assert.Equal((2L, 3L), (ids[row * 52], ids[row * 52 + 51])));
    }

    [Fact]
    public void Every_epoch_hides_others_and_the_same_epoch_the_same_whatever_the_batch()
    {
        var texts = Masked(Rule(), Texts);
        long[] Labels(int epoch, params int[] rows)
        {
            using var batch = texts.Collate(rows, epoch);
            return batch.Labels.data<long>().ToArray();
        }

        Assert.Equal(Labels(3, 7, 8, 9)[52..104], Labels(3, 8));
        Assert.NotEqual(Labels(3, 8), Labels(4, 8));
        Assert.NotEqual(Labels(3, 8), Labels(3, 9));
        using var evaluated = texts.Collate([8]);
        using var again = texts.Collate([8]);
        Assert.Equal(evaluated.Labels.data<long>().ToArray(), again.Labels.data<long>().ToArray());
    }

    [Fact]
    public void Whole_words_are_hidden_together()
    {
        var (_, labels) = Collate(Rule(wholeWords: true));

        var pairs = labels.Chunk(52).SelectMany(row => row[1..^1].Chunk(2)).ToArray();
        Assert.All(pairs, pair => Assert.Equal(pair[0] == LanguageModelLoss.Ignored, pair[1] == LanguageModelLoss.Ignored));
        Assert.Equal(0.15, pairs.Count(pair => pair[0] != LanguageModelLoss.Ignored) / (double)pairs.Length, 0.015);
    }

    [Fact]
    public void A_row_always_has_something_to_guess()
    {
        var texts = Masked(Rule() with { Probability = 1e-9 }, ([2, 30, 3], [-1, 0, -1]));
        using var batch = texts.Collate([0]);

        Assert.Equal(1, batch.Targets);
        Assert.Equal([LanguageModelLoss.Ignored, 30, LanguageModelLoss.Ignored], batch.Labels.data<long>().ToArray());
    }

    [Fact]
    public void Packing_loses_no_token_and_keeps_words_apart()
    {
        var data = TokenizedDataset.Build(draft => draft.Write("train", [.. MaskableText.Pack([draft.Add([2, 10, 11, 3], [-1, 0, 0, -1]), draft.Add([2, 12, 13, 3], [-1, 0, 0, -1]), draft.Add([3, 3, 3], [-1, -1, -1])], 3, draft)]));
        var rows = data.Train;

        Assert.Equal([3, 3, 3], Enumerable.Range(0, rows.Count).Select(rows.Length)); // Of the last two tokens none can be hidden.
        Assert.Equal([1, 2, 2], Enumerable.Range(0, rows.Count).Select(rows.Texts));
        Assert.Equal([2, 10, 11, 3, 2, 12, 13, 3, 3], Enumerable.Range(0, rows.Count).SelectMany(row => Enumerable.Range(0, rows.Texts(row)).SelectMany(text => rows.Ids(rows.Text(row, text)).ToArray())));
        using var batch = new MaskedTexts(rows, Rule(wholeWords: true) with { Probability = 0.999999 }, padding: 0).Collate([0, 1, 2]);
        Assert.Equal([1, 2, 5, 6], batch.Inputs.LogitPositions!.data<long>().ToArray());
    }

    private static MaskingRule Rule(bool wholeWords = false) => new(0.15, wholeWords, MaskReplacement.Bert, Mask, Vocabulary, Seed: 42);

    private static MaskedTexts Masked(MaskingRule rule, params (int[] Ids, int[] Words)[] texts) =>
        new(TokenizedDataset.Build(draft => draft.Write("train", [.. texts.Select(text => new StoredRow(draft.Add(text.Ids, text.Words)))])).Train, rule, padding: 0);

    private static (long[] Ids, long[] Labels) Collate(MaskingRule rule)
    {
        using var batch = Masked(rule, Texts).Collate([.. Enumerable.Range(0, Texts.Length)], epoch: 0);
        return (batch.Inputs.InputIds.data<long>().ToArray(), batch.Labels.data<long>().ToArray());
    }
}
