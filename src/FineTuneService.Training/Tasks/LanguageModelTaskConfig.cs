using System.ComponentModel.DataAnnotations;
using FineTuneService.Contracts;
using FineTuneService.Training.Data;
using FineTuneService.Training.Generation;
using FineTuneService.Training.Models;
using FineTuneService.Training.Tokenization;

namespace FineTuneService.Training.Tasks;

/// <summary>What the tasks of causal language models have in common: at every evaluation the model is let speak.</summary>
public abstract record LanguageModelTaskConfig : TrainingTaskConfig
{
    internal const int UsualPrompts = 3;
    private const int LongestOpening = 12;

    /// <summary>
    /// Texts that the model continues at every evaluation; where rows are conversations, what a user says to it. An empty list: none.
    /// Default: what the first three validation rows ask, or the first words of the first three documents.
    /// </summary>
    [MaxLength(16)]
    public IReadOnlyList<string>? SamplePrompts { get; init; }

    /// <summary>The most tokens of such a continuation.</summary>
    [Range(1, 1024)]
    public int SampleMaxNewTokens { get; init; } = 32;

    public override ModelHead Head => ModelHead.CausalLm;

    /// <param name="rows">The first that are held out: the usual prompts.</param>
    /// <param name="asMessages">Whether prompts of one's own are put as messages.</param>
    /// <param name="maxLength">Tokens that prompt and continuation may have together.</param>
    /// <exception cref="FaultException">When a prompt has no token, or leaves no room for another.</exception>
    private protected SamplePrompts? PromptsOf(IReadOnlyList<TokenSequence> rows, ExchangeTokenizer exchanges, bool asMessages, Tokenizer tokenizer, int maxLength)
    {
        int[][] prompts = SamplePrompts is null ? [.. rows.Select(row => PromptOf(row, tokenizer))] : [.. SamplePrompts.Select(text => exchanges.Prompt(text, asMessages))];
        var faults = new FaultList();
        for (var at = 0; at < prompts.Length; at++)
            faults.Require(
                prompts[at].Length > 0 && prompts[at].Length < maxLength, $"/task/sample_prompts/{at}", $"{prompts[at].Length} tokens",
                $"A prompt has at least one token, and leaves room for another among max_length ({maxLength}).", "Give another text, or leave sample_prompts out.");
        faults.ThrowIfAny();
        return prompts.Length == 0 ? null : new(prompts, SampleMaxNewTokens, [.. rows.Select(row => EndOf(row, tokenizer)).OfType<int>().Distinct()]);
    }

    /// <summary>What stands before the first token that is learnt; where everything is, the first words.</summary>
    private static int[] PromptOf(TokenSequence row, Tokenizer tokenizer)
    {
        var asked = Array.FindIndex(row.Weights, weight => weight > 0);
        if (asked > 1) // The first token is never learnt.
            return row.Ids[..asked];
        var longest = Math.Min(LongestOpening, row.Length - 1);
        return row.Ids[..Enumerable.Range(1, longest).Reverse().FirstOrDefault(EndsWord, longest)];

        bool EndsWord(int length)
        {
            var (words, more) = (tokenizer.Decode(row.Ids[..length]), tokenizer.Decode(row.Ids[..(length + 1)]));
            return more.Length > words.Length && more.StartsWith(words, StringComparison.Ordinal) && char.IsWhiteSpace(more[words.Length]);
        }
    }

    /// <summary>The special token with which what is learnt ends, such as that of a turn.</summary>
    private static int? EndOf(TokenSequence row, Tokenizer tokenizer) =>
        row.Ids.Zip(row.Weights).Where(token => token.Second > 0 && (token.First == tokenizer.EosTokenId || tokenizer.IsSpecial(token.First))).Select(token => (int?)token.First).LastOrDefault();
}
