using FineTuneService.Contracts;
using FineTuneService.Training.Tasks;
using FineTuneService.Training.Tests.Data;
using FineTuneService.Training.Tests.Tokenization;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tests.Tasks;

public sealed class ReplacedTokenDetectionTests : IDisposable
{
    private readonly LanguageFixtures _files = new();

    public void Dispose() => _files.Dispose();

    /// <summary>ELECTRA's own code hides 85 of 100 chosen tokens behind the mask and leaves 15; BERT puts another token in place of every tenth.</summary>
    [Fact]
    public void What_the_generator_fills_in_was_hidden_as_in_ELECTRA()
    {
        var (masked, kept, other) = Shares(new ReplacedTokenDetectionConfig());
        Assert.Equal(0, other);
        Assert.Equal(0.85, masked / (double)(masked + kept), 0.03);

        (masked, kept, other) = Shares(new MaskedLanguageModelConfig());
        Assert.Equal(0.8, masked / (double)(masked + kept + other), 0.03);
        Assert.Equal(0.1, other / (double)(masked + kept + other), 0.03);
    }

    private (int Masked, int Kept, int Other) Shares(TrainingTaskConfig config)
    {
        var tokenizer = Tokenizer.Load(GoldenTokenizers.Folder("bert-base-uncased"));
        var path = _files.Write("rows.jsonl", [.. Enumerable.Range(0, 400).Select(row => $$"""{"text": "the old man {{row}} walked slowly down to the sea and looked at the small boats for a long while"}""")]);
        var task = config.Load(new DatasetSpec { Train = path, TextColumn = "text", ValidationSplit = 0 }, new TrainingArguments { MaxLength = 64 }, tokenizer);
        using var batch = task.Train.Collate([.. Enumerable.Range(0, 400)], epoch: 0);
        var hidden = batch.Inputs.InputIds.data<long>().ToArray().Zip(batch.Labels.data<long>().ToArray()).Where(token => token.Second != LanguageModelLoss.Ignored).ToArray();
        var masked = hidden.Count(token => token.First == tokenizer.MaskTokenId);
        var kept = hidden.Count(token => token.First == token.Second);
        return (masked, kept, hidden.Length - masked - kept);
    }
}
