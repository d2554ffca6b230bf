namespace FineTuneService.Training.Tokenization;

/// <summary>Which id plays which role: what the configuration says, else what the added tokens are known to mean.</summary>
internal sealed class SpecialTokenIds(TokenizerConfig config, AddedTokens added, Func<string, int?> idOf)
{
    private static readonly Dictionary<string, string[]> Conventions = new()
    {
        ["pad_token"] = ["[PAD]", "<pad>"],
        ["cls_token"] = ["[CLS]"],
        ["sep_token"] = ["[SEP]"],
        ["mask_token"] = ["[MASK]", "<mask>"],
        ["bos_token"] = ["<s>", "<|startoftext|>", "<|begin_of_text|>", "<|endoftext|>"],
        ["eos_token"] = ["</s>", "<|end_of_text|>", "<|endoftext|>"],
        ["unk_token"] = ["[UNK]", "<unk>", "<|endoftext|>"],
    };

    private readonly HashSet<string> _contents = [.. added.Contents];

    /// <summary>The id for a role such as <c>pad_token</c>, or null.</summary>
    public int? this[string role] => config.Mentions(role)
        ? config.SpecialToken(role) is { } content ? idOf(content) : null
        : Candidates(role).FirstOrDefault(_contents.Contains) is { } conventional ? idOf(conventional) : null;

    // <s> and </s> are also cls and sep in the families that mask, from RoBERTa on.
    private string[] Candidates(string role) => (role, _contents.Contains("<mask>")) switch
    {
        ("cls_token", true) => ["[CLS]", "<s>"],
        ("sep_token", true) => ["[SEP]", "</s>"],
        _ => Conventions[role],
    };
}
